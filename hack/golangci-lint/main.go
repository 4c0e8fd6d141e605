// Command golangci-lint is golangci-lint with kube-api-linter built in, which
// golangci-lint takes as a module plugin only.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"

	_ "sigs.k8s.io/kube-api-linter"
)

// version is set by the linker.
var version = "unknown"

func main() {
	info := commands.BuildInfo{Version: version, GoVersion: runtime.Version(), Commit: "with kube-api-linter", Date: "(unknown)"}
	if err := commands.Execute(info); err != nil {
		fmt.Fprintln(os.Stderr, "golangci-lint:", err)
		os.Exit(exitcodes.Failure)
	}
}
