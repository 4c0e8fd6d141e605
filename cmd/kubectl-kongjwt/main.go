// Command kubectl-kongjwt is the kubectl plugin `kubectl kongjwt`. It reads, and
// changes, with the rights of the person who runs it.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kongjwt/kong-jwt-operator/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := cli.Run(ctx, version, streams, arguments(os.Args))
	stop()
	os.Exit(code)
}

// completer is the name under which kubectl looks for what completes the plugin's words. It gives it the words, the
// last of which is completed.
const completer = "kubectl_complete-kongjwt"

// arguments are those of the plugin. By the name of the completer, it answers what a shell's completion asks.
func arguments(args []string) []string {
	if strings.TrimSuffix(filepath.Base(args[0]), ".exe") == completer {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}
