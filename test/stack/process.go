package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is one that was started here.
type process struct {
	what    string // it is
	command *exec.Cmd
	exited  chan struct{}
	err     error
}

// stopTime is how long a process has to end: what takes a second or two on an idle machine.
const stopTime = 30 * time.Second

// begin starts a process.
func begin(what string, command *exec.Cmd) (*process, error) {
	// The terminal's interrupt is the caller's: it stops the process when it has cleaned up.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	p := &process{what: what, command: command, exited: make(chan struct{})}
	go func() {
		p.err = command.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Stop asks the process to end, and waits until it has.
func (p *process) Stop() error {
	if p.hasEnded() {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s ended with %w", p.what, p.err)
		}
		return nil
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("%s did not stop in time", p.what), p.Kill())
	}
}

// Kill ends the process at once, as a crash would.
func (p *process) Kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// Freeze stops the process where it is, as on a node that hangs, until Thaw. One that has ended stays so.
func (p *process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (p *process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *process) signal(s os.Signal) error {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Ended is closed once the process has ended.
func (p *process) Ended() <-chan struct{} { return p.exited }

func (p *process) hasEnded() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Failed says of a process that has ended whether it called that a failure.
func (p *process) Failed() bool {
	<-p.exited
	return p.err != nil
}

// PID of the process.
func (p *process) PID() int { return p.command.Process.Pid }
