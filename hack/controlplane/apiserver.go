package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// contextName is the cluster, user and context of the kubeconfig.
const contextName = "kong-jwt-operator"

type apiServer struct {
	// client is the administrator's.
	client *rest.Config
	// ca is what signed the serving certificate, PEM.
	ca []byte
	// failed receives the error with which the server ended by itself.
	failed <-chan error

	cancel context.CancelFunc
	done   <-chan struct{}
}

// clientOf is the administrator's configuration of the server at an address; ca is what signed its certificate.
func clientOf(address string, creds credentials, ca []byte) *rest.Config {
	return &rest.Config{
		Host:            "https://" + address,
		BearerToken:     creds.adminToken,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}
}

func apiServerFlags(creds credentials, etcd string) []string {
	return []string{
		"--etcd-servers=" + etcd,
		"--cert-dir=" + creds.certDir,
		"--token-auth-file=" + creds.tokenFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + creds.serviceAccount,
		"--service-account-key-file=" + creds.serviceAccount,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		// Otherwise the server looks for an address of the machine, and fails
		// where there is no network.
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// An Endpoints object must not hold a loopback address.
		"--endpoint-reconciler-type=none",
	}
}

// pollInterval is between two looks whether the server is there.
const pollInterval = 100 * time.Millisecond

// waitReady returns when the server answers /readyz with 200.
func (s *apiServer) waitReady(ctx context.Context, timeout time.Duration) error {
	client, err := kubernetes.NewForConfig(s.client)
	if err != nil {
		return err
	}
	last := errors.New("no answer")
	err = wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-s.failed:
			return false, err
		default:
		}
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("not ready: %w", last)
	}
	return err
}

func (s *apiServer) writeKubeconfig(path string) error {
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[contextName] = &clientcmdapi.Cluster{Server: s.client.Host, CertificateAuthorityData: s.ca}
	kubeconfig.AuthInfos[contextName] = &clientcmdapi.AuthInfo{Token: s.client.BearerToken}
	kubeconfig.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: contextName, Namespace: "default"}
	kubeconfig.CurrentContext = contextName
	return clientcmd.WriteToFile(*kubeconfig, path)
}

func (s *apiServer) stop() {
	s.cancel()
	<-s.done
}
