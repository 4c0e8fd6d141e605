// Package pages types what the documentation has its readers type, into a real shell with a real kubectl and helm,
// and compares what is answered with what the pages show.
package pages

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// mark ends the output of each command; its exit code follows.
const mark = "\x01ended "

// shell is a bash that keeps its variables from one command to the next, as a terminal does. What a command writes to
// its standard error is shown with the rest.
type shell struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string
}

// newShell starts one in a folder. It ends with the context, or with close.
func newShell(ctx context.Context, dir string, env []string) (*shell, error) {
	command := exec.CommandContext(ctx, "bash", "--noprofile", "--norc")
	command.Dir, command.Env = dir, env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, writer := io.Pipe()
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &shell{command: command, stdin: stdin, lines: make(chan string)}
	go func() {
		_ = command.Wait() // what it did before is what counts
		_ = writer.Close()
	}()
	go func() {
		defer close(s.lines)
		for reader := bufio.NewReader(stdout); ; {
			line, err := reader.ReadString('\n')
			if line != "" {
				s.lines <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	}()
	return s, nil
}

// run types a command, and gives what it showed and how it ended.
func (s *shell) run(ctx context.Context, command string) (output string, code int, err error) {
	if _, err := fmt.Fprintf(s.stdin, "{ %s\n} </dev/null\nprintf '\\n\\001ended %%d\\n' $?\n", command); err != nil {
		return "", 0, err
	}
	var shown []string
	for {
		select {
		case <-ctx.Done():
			return strings.Join(shown, "\n"), 0, fmt.Errorf("%q goes on: %w", command, ctx.Err())
		case line, more := <-s.lines:
			if !more {
				return strings.Join(shown, "\n"), 0, errors.New("the shell ended")
			}
			if number, ended := strings.CutPrefix(line, mark); ended {
				code, err := strconv.Atoi(number)
				return strings.Join(shown, "\n"), code, err
			}
			shown = append(shown, line)
		}
	}
}

// close ends the shell, unless the end of its context has done so.
func (s *shell) close() error {
	if err := s.stdin.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
