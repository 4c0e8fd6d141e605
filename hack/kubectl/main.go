// Command kubectl is kubectl, compiled from its module: for tests of what the documentation has its readers type. The
// module has no command of its own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	// Those that kubectl itself comes with.
	_ "k8s.io/client-go/plugin/pkg/client/auth"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		// It may say more than its text.
		util.CheckErr(err)
	}
	os.Exit(0)
}
