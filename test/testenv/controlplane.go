package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// StartControlPlane runs the all-in-one control plane (hack/controlplane) on a
// free loopback port with its data in dir, and returns when it is ready: etcd,
// kube-apiserver with RBAC, and the controllers that collect garbage, delete
// namespaces and look after ServiceAccounts, Deployments and ReplicaSets. No
// CustomResourceDefinition is installed, see [InstallCRDs].
//
// The configuration and the kubeconfig are an administrator's. The control plane
// ends with stop, with ctx, or with this process, however that ends; it does not
// get the terminal's interrupt, so that the caller can clean up on it. Its log is
// dir/controlplane.log.
func StartControlPlane(ctx context.Context, dir string) (config *rest.Config, kubeconfig string, stop func() error, err error) {
	binary, err := findControlPlane(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, "", nil, err
	}
	kubeconfig = filepath.Join(dir, "kubeconfig")
	process, err := startProcess(ctx, dir, binary,
		"--data-dir", dir, "--kubeconfig-out", kubeconfig, "--stop-on-stdin-close")
	if err != nil {
		return nil, "", nil, err
	}
	if err := process.waitReady(ctx); err != nil {
		return nil, "", nil, errors.Join(err, process.stop())
	}
	config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, "", nil, errors.Join(err, process.stop())
	}
	return config, kubeconfig, process.stop, nil
}

// controlPlane is the running process.
type controlPlane struct {
	command *exec.Cmd
	stdin   io.Closer
	stdout  io.Reader
	logPath string
	exited  chan struct{} // closed when the process is gone
	exitErr error         // of the process, once exited is closed
}

func startProcess(ctx context.Context, dir, binary string, args ...string) (*controlPlane, error) {
	logPath := filepath.Join(dir, "controlplane.log")
	logFile, err := os.Create(logPath) //nolint:gosec // The caller's folder.
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }() // The process has its own descriptor.

	command := exec.CommandContext(ctx, binary, args...) //nolint:gosec // The binary that hack/control-plane.sh built.
	command.Stderr = logFile
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, stdoutWriter := io.Pipe()
	command.Stdout = stdoutWriter
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	process := &controlPlane{
		command: command, stdin: stdin, stdout: stdout, logPath: logPath,
		exited: make(chan struct{}),
	}
	go func() {
		// An end by ctx was asked for.
		if err := command.Wait(); ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
			process.exitErr = err
		}
		_ = stdoutWriter.Close()
		close(process.exited)
	}()
	return process, nil
}

// waitReady returns when the process has said on its standard output that it
// is ready, which it does when /readyz answers and the controllers have started.
func (p *controlPlane) waitReady(ctx context.Context) error {
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(p.stdout)
		ready <- lines.Scan() && strings.HasPrefix(lines.Text(), "ready ")
		_, _ = io.Copy(io.Discard, p.stdout)
	}()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("the control plane did not start, the end of %s:\n%s", p.logPath, p.logTail())
		}
		return nil
	case <-timeout.C:
		return fmt.Errorf("the control plane was not ready after %s, the end of %s:\n%s", startTimeout, p.logPath, p.logTail())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the process and waits for it. Calling it again does nothing.
func (p *controlPlane) stop() error {
	_ = p.stdin.Close()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.exited:
		return p.exitErr
	case <-timeout.C:
		return errors.Join(fmt.Errorf("the control plane did not stop within %s", stopTimeout), p.command.Process.Kill())
	}
}

// logTail is the last part of the log, for an error message.
func (p *controlPlane) logTail() string {
	const most = 2000
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-most):])
}
