package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Bounds of what takes three seconds on an idle machine.
const (
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
)

// For is [Start] for one test: it fails tb where Start returns an error, and
// stops the API server when tb ends.
func For(tb testing.TB) *rest.Config {
	tb.Helper()
	config, stop, err := Start(tb.Context())
	if err != nil {
		tb.Fatalf("start an API server: %v", err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("stop the API server: %v", err)
		}
	})
	return config
}

// Start runs etcd and kube-apiserver and installs the CustomResourceDefinitions
// of config/crd/bases. The configuration is an administrator's. The error says
// what is missing and which make target provides it.
func Start(ctx context.Context) (config *rest.Config, stop func() error, err error) {
	assets, err := findAssets(ctx)
	if err != nil {
		return nil, nil, err
	}
	crds, err := findCRDs()
	if err != nil {
		return nil, nil, err
	}
	existing := false
	environment := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{crds},
		ErrorIfCRDPathMissing:    true,
		UseExistingCluster:       &existing,
		ControlPlaneStartTimeout: startTimeout,
		ControlPlaneStopTimeout:  stopTimeout,
	}
	config, err = environment.Start()
	if err != nil {
		_ = environment.Stop() // What did start before the failure.
		return nil, nil, fmt.Errorf("start etcd and kube-apiserver of %s: %w", assets, err)
	}
	return config, environment.Stop, nil
}

// InstallCRDs installs the CustomResourceDefinitions of config/crd/bases and
// waits until the API server serves them.
func InstallCRDs(config *rest.Config) error {
	crds, err := findCRDs()
	if err != nil {
		return err
	}
	_, err = envtest.InstallCRDs(config, envtest.CRDInstallOptions{
		Paths:              []string{crds},
		ErrorIfPathMissing: true,
		MaxTime:            startTimeout,
	})
	if err != nil {
		return fmt.Errorf("install the CustomResourceDefinitions of %s: %w", crds, err)
	}
	return nil
}

// findCRDs returns the folder of the generated CustomResourceDefinitions.
func findCRDs() (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "config", "crd", "bases")
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return "", err
	}
	if len(entries) == 0 {
		return "", fmt.Errorf("%s holds no CustomResourceDefinition: run `make generate`", dir)
	}
	return dir, nil
}
