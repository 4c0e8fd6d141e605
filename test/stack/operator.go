package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Operator is the operator's process.
type Operator struct {
	*process
	// LogPath is where it logs.
	LogPath string
	// metrics keeps what it serves; nil where it is not observed.
	metrics func() error
}

// operatorStart bounds what takes a second or two on an idle machine.
const operatorStart = 2 * time.Minute

// StartOperator starts the operator's binary, under the rights that the chart gives it, and returns when it is ready.
// It ends with Stop, with Kill, or with the stack.
func (s *Stack) StartOperator(ctx context.Context, flags ...string) (*Operator, error) {
	binary := os.Getenv(ManagerVariable)
	if binary == "" {
		return nil, fmt.Errorf("%s does not name the operator's binary; `make build` makes bin/manager", ManagerVariable)
	}
	probe, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	logPath := filepath.Join(s.options.Dir, "operator.log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // The caller's folder.
	if err != nil {
		return nil, err
	}
	defer func() { _ = logFile.Close() }() // the process has its own descriptor

	o := &Operator{LogPath: logPath}
	kubeconfig, err := s.operatorKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	arguments := []string{"--kubeconfig", kubeconfig, "--namespace", OperatorNamespace, "--health-probe-bind-address", probe}
	observed, err := s.observe(o) //nolint:contextcheck // Metrics are kept when the operator ends, whatever became of its start.
	if err != nil {
		return nil, err
	}
	arguments = append(append(arguments, observed...), flags...)
	command := exec.Command(binary, arguments...) //nolint:gosec // The binary that the caller built.
	command.Env = append(os.Environ(), s.operatorEnv...)
	command.Stdout, command.Stderr = logFile, logFile
	if o.process, err = begin("the operator (it logs to "+logPath+")", command); err != nil {
		return nil, err
	}
	s.cleanups = append(s.cleanups, o.Stop)
	if err := o.awaitReady(ctx, probe); err != nil {
		return nil, errors.Join(err, o.Stop())
	}
	return o, nil
}

// observe gives the flags by which an operator says more, or less.
func (s *Stack) observe(o *Operator) ([]string, error) {
	if !s.options.Observed {
		return []string{"--metrics-bind-address", "0"}, nil
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	o.metrics = func() error {
		return keepMetrics("http://"+address+"/metrics", filepath.Join(s.options.Dir, MetricsFile))
	}
	// No message of any library asks for a higher level.
	return []string{"--metrics-bind-address", address, "--metrics-secure=false", "--zap-log-level", "10"}, nil
}

// keepMetrics adds what is served to a file.
func keepMetrics(url, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("read the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // The caller's folder.
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}

func (o *Operator) awaitReady(ctx context.Context, address string) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, operatorStart, true, func(ctx context.Context) (bool, error) {
		select {
		case <-o.exited:
			return false, fmt.Errorf("the operator ended (%w), see %s", o.err, o.LogPath)
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // It does not listen yet.
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
}

// Stop asks the operator to end, and waits until it has.
func (o *Operator) Stop() error {
	if o.hasEnded() {
		return nil
	}
	return errors.Join(o.KeepMetrics(), o.process.Stop())
}

// KeepMetrics adds what an observed operator serves to MetricsFile; Stop does as well.
func (o *Operator) KeepMetrics() error {
	if o.metrics == nil {
		return nil
	}
	return o.metrics()
}

// FreeAddress is a loopback address that nothing listens on, and that the system gives to no client: a process that was
// killed can come back to it.
func FreeAddress() (string, error) {
	const first, count = 20_000, 12_000 // below the ports that systems give to clients
	for {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.N(count))) //nolint:gosec // Any will do.
		switch {
		case err == nil:
			return listener.Addr().String(), listener.Close()
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", err
		}
	}
}
