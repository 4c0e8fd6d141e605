package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	clienv "github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// pluginVariable is the path of the kubectl plugin's binary.
const pluginVariable = "KJO_PLUGIN"

// plugin is a run of the plugin's binary: as kubectl runs it, with a token, or whatever else, on its standard input.
type plugin struct {
	stdout, stderr string
	code           int
}

// command makes a run that has not begun.
func command(ctx context.Context, in string, args ...string) *exec.Cmd {
	GinkgoHelper()
	binary := os.Getenv(pluginVariable)
	if binary == "" {
		Skip(pluginVariable + " names no binary; make build makes one")
	}
	c := exec.CommandContext(ctx, binary, append(args, "--kubeconfig", env.Kubeconfig)...)
	c.Stdin = strings.NewReader(in)
	return c
}

// runPlugin runs it to its end, whatever that is.
func runPlugin(ctx context.Context, in string, args ...string) plugin {
	GinkgoHelper()
	var stdout, stderr bytes.Buffer
	c := command(ctx, in, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	run := plugin{}
	if err := c.Run(); err != nil {
		var exit *exec.ExitError
		Expect(errors.As(err, &exit)).To(BeTrue(), "%v", err)
		run.code = exit.ExitCode()
	}
	run.stdout, run.stderr = stdout.String(), stderr.String()
	GinkgoWriter.Printf("$ kubectl kongjwt %s\n%s%s(exit %d)\n", strings.Join(args, " "), run.stdout, run.stderr, run.code)
	Expect(run.stdout+run.stderr).NotTo(ContainSubstring("\x1b"), "nobody looks: no colors")
	return run
}

// kongjwt runs it to an answer, yes or no.
func kongjwt(ctx context.Context, in string, args ...string) (out string, code int) {
	GinkgoHelper()
	run := runPlugin(ctx, in, args...)
	Expect(run.code).To(BeElementOf(clienv.ExitOK, clienv.ExitNegative), run.stderr)
	return run.stdout, run.code
}

// answered runs it with -o json, and reads the answer.
func answered[T any](ctx context.Context, in string, args ...string) (answer T, code int) {
	GinkgoHelper()
	out, code := kongjwt(ctx, in, append(args, "-o", "json")...)
	Expect(json.Unmarshal([]byte(out), &answer)).To(Succeed(), out)
	return answer, code
}
