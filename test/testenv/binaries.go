package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// AssetsVariable names the folder with etcd and kube-apiserver.
	AssetsVariable = "KUBEBUILDER_ASSETS"
	// ControlPlaneVariable names the binary of hack/controlplane.
	ControlPlaneVariable = "KJO_CONTROLPLANE"
)

// findAssets returns the folder with etcd and kube-apiserver.
func findAssets(ctx context.Context) (string, error) {
	dir, err := locate(ctx, AssetsVariable, "assets")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if err := checkExecutable(filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// findControlPlane returns the path of the all-in-one binary.
func findControlPlane(ctx context.Context) (string, error) {
	path, err := locate(ctx, ControlPlaneVariable, "controlplane")
	if err != nil {
		return "", err
	}
	return path, checkExecutable(path)
}

// locate takes the path from the environment, else asks the script that fills
// the cache.
func locate(ctx context.Context, variable, what string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", fmt.Errorf("%s is not set: %w", variable, err)
	}
	script := exec.CommandContext(ctx, filepath.Join(root, "hack", "control-plane.sh"), "where", what) //nolint:gosec // A script of this repository.
	out, err := script.Output()
	if err != nil {
		return "", fmt.Errorf("%s is not set and %s fails: %w", variable, script.Path, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func checkExecutable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s does not exist: run `make control-plane`", path)
	}
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is no executable file: remove it and run `make control-plane`", path)
	}
	return nil
}

// RepositoryRoot is the folder of this repository that the working directory is in.
func RepositoryRoot() (string, error) { return repositoryRoot() }

// repositoryRoot is the nearest directory upwards that holds our go.mod.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // The path is the working directory's.
		if err == nil && strings.HasPrefix(string(content), "module github.com/kongjwt/kong-jwt-operator\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside the repository of kong-jwt-operator")
		}
		dir = parent
	}
}
