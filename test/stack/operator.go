package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// LogPath is where it logs.
	LogPath string
	// metrics keeps what it serves; nil where it is not observed.
	metrics func() error
	command *exec.Cmd
	exited  chan struct{}
	err     error
}

// Bounds of what takes a second or two on an idle machine.
const (
	operatorStart = 2 * time.Minute
	operatorStop  = 30 * time.Second
)

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

	o := &Operator{LogPath: logPath, exited: make(chan struct{})}
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
	o.command = exec.Command(binary, arguments...) //nolint:gosec // The binary that the caller built.
	o.command.Env = append(os.Environ(), s.operatorEnv...)
	o.command.Stdout, o.command.Stderr = logFile, logFile
	// The terminal's interrupt is the caller's: it stops the operator when it has cleaned up.
	o.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := o.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		o.err = o.command.Wait()
		close(o.exited)
	}()
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
	ctx, cancel := context.WithTimeout(context.Background(), operatorStop)
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
	select {
	case <-o.exited:
		return nil
	default:
	}
	unkept := o.KeepMetrics()
	if err := o.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-o.exited:
		if o.err != nil {
			return fmt.Errorf("the operator ended with %w, see %s", o.err, o.LogPath)
		}
		return unkept
	case <-time.After(operatorStop):
		return errors.Join(errors.New("the operator did not stop in time"), o.Kill())
	}
}

// KeepMetrics adds what an observed operator serves to MetricsFile; Stop does as well.
func (o *Operator) KeepMetrics() error {
	if o.metrics == nil {
		return nil
	}
	return o.metrics()
}

// Freeze stops the process where it is, as on a node that hangs, until Thaw. One that has ended stays so.
func (o *Operator) Freeze() error { return o.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (o *Operator) Thaw() error { return o.signal(syscall.SIGCONT) }

func (o *Operator) signal(s os.Signal) error {
	if err := o.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Ended is closed once the process has ended.
func (o *Operator) Ended() <-chan struct{} { return o.exited }

// Failed says of a process that has ended whether it called that a failure.
func (o *Operator) Failed() bool {
	<-o.exited
	return o.err != nil
}

// PID of the process.
func (o *Operator) PID() int { return o.command.Process.Pid }

// Kill ends the operator at once, as a crash would.
func (o *Operator) Kill() error {
	if err := o.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-o.exited
	return nil
}

// FreeAddress is a loopback address that nothing listens on.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
