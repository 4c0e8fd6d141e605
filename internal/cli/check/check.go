// Package check is kubectl kongjwt check: whether all that the operator needs is there. Version is kubectl kongjwt
// version.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/adminapi"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/operatorpods"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// leasePrefix begins the names of the operator's Leases: one for each part of an installation.
const leasePrefix = "kong-jwt-operator"

// skew is how far clocks may be apart before tokens are refused by it.
const skew = 5 * time.Second

const setClocks = "Set the clocks (NTP): exp and nbf of tokens are held against Kong's."

// Outcomes of a check.
const (
	passed  = "ok"
	failed  = "FAILED"
	unknown = "unknown"
)

// Finding is what one check found.
type Finding struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy,omitempty"`
}

// Report is the answer.
type Report struct {
	Passed   bool      `json:"passed"`
	Findings []Finding `json:"findings"`
}

type options struct {
	output   output.Flags
	operator operatorpods.Flags
	kong     string
	admin    adminapi.Flags
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether all that the operator needs is there",
		Long: `Say whether all that the operator needs is there: its kinds, as this plugin knows them, its pods and the one that
leads, rights that it cannot do without, each Kong and its version, and the clock of the operator. --kong asks a Kong
itself, through its Admin API: whether it answers from here, and what its clock says, which exp and nbf of tokens are
held against. What you may not read or ask is unknown. Exits with 1 where a check failed.`,
		Example: `  kubectl kongjwt check
  kubectl kongjwt check --kong http://127.0.0.1:8001
  kubectl kongjwt check --operator-namespace kong-jwt-system -o json`,
		Args: usage.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	cmd.Flags().StringVar(&o.kong, "kong", "", "Ask Kong itself, whose Admin API has this URL; through kubectl port-forward for one")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("kong", cobra.NoFileCompletions))
	o.operator.Add(cmd)
	o.admin.Add(cmd)
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := errors.Join(o.output.Check(), o.operator.Check()); err != nil {
		return err
	}
	var api *kong.Client
	if o.kong != "" {
		var err error
		if api, err = o.admin.Client("--kong", o.kong, e.Version); err != nil {
			return err
		}
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	clientset, err := e.Clientset()
	if err != nil {
		return err
	}
	report := Report{Passed: true, Findings: kinds(clientset.Discovery())}
	report.Findings = append(report.Findings, definitions(ctx, kube)...)
	pods, err := o.operator.List(ctx, kube)
	report.Findings = append(report.Findings, o.ready(pods, err))
	report.Findings = append(report.Findings, rights(ctx, clientset, pods)...)
	report.Findings = append(report.Findings, o.leader(ctx, kube, e.Clock.Now())...)
	report.Findings = append(report.Findings, gateways(ctx, kube)...)
	if api != nil {
		report.Findings = append(report.Findings, askKong(ctx, api, e.Clock)...)
	}
	report.Passed = !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Outcome == failed })
	err = o.output.Print(e.Out, output.Answer{Kind: "Check", Value: report, Text: report.print})
	if err == nil && !report.Passed {
		return env.ErrNegative
	}
	return err
}

// kinds says whether the API server has all of the operator's kinds.
func kinds(api discovery.DiscoveryInterface) []Finding {
	f := Finding{Name: "kinds", Outcome: passed, Detail: v1alpha1.GroupVersion.String()}
	served, err := api.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		f.Outcome, f.Detail = unknown, err.Error()
		return []Finding{f}
	}
	var missing []string
	for _, kind := range v1alpha1.ResourceKinds() {
		if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Name }) {
			missing = append(missing, kind.Name)
		}
	}
	if len(missing) > 0 {
		f.Outcome, f.Detail = failed, "the cluster has no "+strings.Join(missing, ", ")+" in "+f.Detail
		f.Remedy = "Install the chart, or its CustomResourceDefinitions of this version."
	}
	return []Finding{f}
}

// ready says whether one of the operator's pods is Ready; err is why they are not known.
func (o *options) ready(pods []corev1.Pod, err error) Finding {
	f := Finding{Name: "operator", Outcome: passed}
	if err != nil {
		f.Outcome, f.Detail, f.Remedy = unknown, err.Error(), "Name a namespace that you may read with --operator-namespace."
		return f
	}
	var ready []string
	for _, pod := range pods {
		if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			ready = append(ready, pod.Namespace+"/"+pod.Name)
		}
	}
	f.Detail = fmt.Sprintf("%d of %d pods are Ready: %s", len(ready), len(pods), strings.Join(ready, ", "))
	switch {
	case len(pods) == 0:
		f.Outcome, f.Detail, f.Remedy = failed, o.operator.None(), "Install the chart, or name what its pods have."
	case len(ready) == 0:
		f.Outcome, f.Detail = failed, fmt.Sprintf("none of %d pods is Ready", len(pods))
		f.Remedy = "Look at them: kubectl describe pod -n " + pods[0].Namespace
	}
	return f
}

// leader says whether a replica leads, and whether its clock is this machine's.
func (o *options) leader(ctx context.Context, kube client.Reader, now time.Time) []Finding {
	f := Finding{Name: "leader", Outcome: passed}
	var leases coordinationv1.LeaseList
	if err := kube.List(ctx, &leases, client.InNamespace(o.operator.Namespace)); err != nil {
		f.Outcome, f.Detail, f.Remedy = unknown, err.Error(), "Name a namespace that you may read with --operator-namespace."
		return []Finding{f}
	}
	var found []Finding
	for _, lease := range leases.Items {
		if strings.HasPrefix(lease.Name, leasePrefix) && lease.Spec.RenewTime != nil && lease.Spec.HolderIdentity != nil {
			found = append(found, ofLease(lease, now)...)
		}
	}
	if len(found) == 0 {
		f.Outcome, f.Detail, f.Remedy = unknown, "there is no Lease of it", "One replica needs none where leader election is off."
		return []Finding{f}
	}
	return found
}

func ofLease(lease coordinationv1.Lease, now time.Time) []Finding {
	f := Finding{Name: "leader", Outcome: passed, Detail: fmt.Sprintf("%s, seen %s", output.Line(*lease.Spec.HolderIdentity),
		output.WhenTime(lease.Spec.RenewTime.Time, now))}
	age := now.Sub(lease.Spec.RenewTime.Time)
	lasts := 15 * time.Second
	if seconds := lease.Spec.LeaseDurationSeconds; seconds != nil {
		lasts = time.Duration(*seconds) * time.Second
	}
	clock := Finding{Name: "clock", Outcome: passed, Detail: "this machine's is the operator's"}
	switch {
	case age < -skew:
		clock.Outcome, clock.Detail = failed, fmt.Sprintf("the operator's node is %s ahead of this machine", (-age).Round(time.Second))
		clock.Remedy = setClocks
	case age > lasts+skew && *lease.Spec.HolderIdentity == "":
		f.Outcome, f.Detail, f.Remedy = failed, "nobody leads", "Look at the operator's log."
		clock.Outcome, clock.Detail = unknown, "nobody leads"
	case age > lasts+skew:
		f.Outcome, f.Remedy = failed, "The leader is gone, or its clock is behind; look at the operator's log."
		clock.Outcome, clock.Detail = unknown, "the leader was not seen lately"
	}
	return []Finding{f, clock}
}

// gateways says of each Kong whether the operator reaches it, and its version.
func gateways(ctx context.Context, kube client.Reader) []Finding {
	var list v1alpha1.KongGatewayList
	if err := kube.List(ctx, &list); err != nil {
		return []Finding{{Name: "gateways", Outcome: unknown, Detail: err.Error()}}
	}
	if len(list.Items) == 0 {
		return []Finding{{Name: "gateways", Outcome: failed, Detail: "there is no KongGateway", Remedy: "Create one: docs/operations/install.md."}}
	}
	var found []Finding
	all := inventory.Inventory{Gateways: list.Items}
	for _, r := range all.Resources() {
		f := Finding{Name: "gateway " + r.Name, Outcome: passed}
		gateway, _ := r.Object.(*v1alpha1.KongGateway)
		f.Detail = strings.TrimSpace(fmt.Sprintf("%s, Kong %s %s", r.Health, output.OrNone(gateway.Status.KongVersion), gateway.Status.Mode))
		switch r.Health {
		case inventory.Ready, inventory.Warning:
		case inventory.Suspended:
			f.Outcome = unknown
		default:
			f.Outcome, f.Detail = failed, fmt.Sprintf("%s (%s): %s", r.Health, r.Reason, r.Message)
			f.Remedy = "kubectl kongjwt status says what to do."
		}
		found = append(found, f)
	}
	return found
}

var tones = map[string]output.Tone{passed: output.Good, failed: output.Bad, unknown: output.Warning}

func (r Report) print(out io.Writer, style output.Style, _ bool) error {
	for _, f := range r.Findings {
		if _, err := fmt.Fprintf(out, "%s  %-16s  %s\n", style.Paint(tones[f.Outcome], fmt.Sprintf("%-7s", f.Outcome)), f.Name,
			output.Line(f.Detail)); err != nil {
			return err
		}
		if f.Remedy == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%27s%s\n", "", output.Line(f.Remedy)); err != nil {
			return err
		}
	}
	return nil
}
