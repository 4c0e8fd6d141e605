package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/tools/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// settings are the operator's flags.
type settings struct {
	kubeconfig              string
	metricsAddress          string
	metricsSecure           bool
	metricsCertDir          string
	probeAddress            string
	pprofAddress            string
	leaderElect             bool
	lease                   lease
	namespace               string
	installationID          string
	clusterDomain           string
	gatewaySecretNamespaces string
	watchNamespaces         string
	watchLabelSelector      string
	workers                 int
	gracePeriod             time.Duration
	log                     zap.Options
	check                   bool
}

// lease is how long a leader leads without a word, and how soon it gives up.
type lease struct {
	duration, renewDeadline, retryPeriod time.Duration
}

func (l *lease) bind(set *flag.FlagSet) {
	set.DurationVar(&l.duration, "leader-elect-lease-duration", 15*time.Second,
		"The duration that non-leader candidates will wait to force acquire leadership, measured against the time of the last observed ack.")
	set.DurationVar(&l.renewDeadline, "leader-elect-renew-deadline", 10*time.Second,
		"The duration that the acting leader will retry refreshing leadership before giving up. Shorter than the lease.")
	set.DurationVar(&l.retryPeriod, "leader-elect-retry-period", 2*time.Second, "The duration that candidates and the leader wait between tries of actions.")
}

func (l *lease) check() error {
	// As client-go demands it, said in the names of the flags.
	switch {
	case l.retryPeriod <= 0:
		return errors.New("--leader-elect-retry-period has to be more than 0")
	case l.duration <= l.renewDeadline:
		return errors.New("--leader-elect-lease-duration has to be longer than --leader-elect-renew-deadline")
	case float64(l.renewDeadline) <= leaderelection.JitterFactor*float64(l.retryPeriod):
		return fmt.Errorf("--leader-elect-renew-deadline has to be longer than %.1f times --leader-elect-retry-period", leaderelection.JitterFactor)
	}
	return nil
}

func parseFlags(args []string) (settings, error) {
	s := settings{log: zap.Options{TimeEncoder: zapcore.RFC3339NanoTimeEncoder}}
	// A flag set of our own: libraries register flags in the global one.
	set := flag.NewFlagSet("manager", flag.ContinueOnError)
	set.StringVar(&s.kubeconfig, "kubeconfig", "", "Path of a kubeconfig. Empty: KUBECONFIG, the cluster the operator runs in, or ~/.kube/config.")
	set.StringVar(&s.metricsAddress, "metrics-bind-address", "0", "Address of the metrics endpoint, such as :8080. 0 turns it off.")
	set.BoolVar(&s.metricsSecure, "metrics-secure", true,
		"Serve metrics over https, only to users that the API server allows to GET the path /metrics. false: over http, to anyone.")
	set.StringVar(&s.metricsCertDir, "metrics-cert-dir", "", "Folder with tls.crt and tls.key of the metrics endpoint, read again when they change. Empty: self-signed.")
	set.StringVar(&s.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz. 0 turns them off.")
	set.StringVar(&s.pprofAddress, "pprof-bind-address", "0",
		"Address of Go's profiles, /debug/pprof, such as 127.0.0.1:8082. 0 turns it off. Anyone who reaches it may read it: a profile tells of code, not of Secrets.")
	set.BoolVar(&s.leaderElect, "leader-elect", false, "Elect a leader, so that only one of several replicas works.")
	s.lease.bind(set)
	set.StringVar(&s.namespace, "namespace", ownNamespace(), "Namespace of the operator: of its lease, and of the gateways' Secrets. In a pod it is the pod's.")
	set.StringVar(&s.installationID, "installation-id", "",
		"Marks the entities of this installation in Kong. Empty: the UID of the kube-system namespace. Entities made under another id are not found again.")
	set.StringVar(&s.clusterDomain, "cluster-domain", "cluster.local", "DNS domain of the cluster, for upstream.serviceRef.")
	set.StringVar(&s.gatewaySecretNamespaces, "gateway-secret-namespaces", "",
		"More namespaces, separated by commas, in which the Secrets of KongGateways may be.")
	set.StringVar(&s.watchNamespaces, "watch-namespaces", "",
		"Namespaces, separated by commas, whose resources this process works on; it needs no right on Secrets of others. Empty: all. Other processes may take the others, with the same installation id.")
	set.StringVar(&s.watchLabelSelector, "watch-label-selector", "",
		"Label selector of the resources that this process works on. Empty: all. Selectors of several processes must not overlap.")
	set.IntVar(&s.workers, "workers", 64, "Number of resources of a kind that are reconciled at once.")
	set.DurationVar(&s.gracePeriod, "graceful-shutdown-timeout", 20*time.Second, "Time for reconciles under way to end when the operator stops.")
	set.BoolVar(&s.check, "check", false,
		"Instead of working, say whether an operator leads and every KongGateway is Ready, and end with 1 where that is not so within a minute: for helm test.")
	s.log.BindFlags(set)
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if s.log.Level != nil {
		s.log.Level = bodiless{s.log.Level}
	}
	if set.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q: all settings are flags", set.Arg(0))
		fmt.Fprintln(set.Output(), err)
		return s, err
	}
	return s, s.validate(set)
}

func (s settings) validate(set *flag.FlagSet) error {
	err := s.lease.check()
	switch {
	case s.workers < 1:
		err = errors.New("--workers has to be at least 1")
	case s.namespace == "":
		err = errors.New("--namespace has to be set outside a cluster")
	}
	if err != nil {
		fmt.Fprintln(set.Output(), err)
	}
	return err
}

// mostTalkative is the level up to which is logged, whatever --zap-log-level says: from the next one on client-go
// logs the bodies of requests to the API server and of its answers, Secrets among them.
const mostTalkative = zapcore.Level(-7)

// bodiless are the levels that are logged.
type bodiless struct{ zapcore.LevelEnabler }

// Enabled says whether messages of a level are logged.
func (b bodiless) Enabled(level zapcore.Level) bool {
	return level >= mostTalkative && b.LevelEnabler.Enabled(level)
}

func (s settings) secretNamespaces() []string {
	return append([]string{s.namespace}, split(s.gatewaySecretNamespaces)...)
}

func (s settings) shard() shard {
	return shard{namespaces: split(s.watchNamespaces), selector: s.watchLabelSelector}
}

// split takes a list apart that is separated by commas.
func split(list string) []string {
	var names []string
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// namespaceFile is where Kubernetes tells a pod its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func ownNamespace() string {
	if name := os.Getenv("POD_NAMESPACE"); name != "" {
		return name
	}
	content, err := os.ReadFile(namespaceFile)
	if err != nil {
		return "kong-jwt-system"
	}
	return strings.TrimSpace(string(content))
}
