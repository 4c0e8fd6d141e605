package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kongjwt/kong-jwt-operator/internal/cli"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// cliHead is what the commands' own help does not say.
const cliHead = "<!-- Written by `make docs` from the help of the commands. -->\n" + `# kubectl kongjwt

The kubectl plugin: see, explain and act on what kong-jwt-operator does. One static binary, ` + "`kubectl-kongjwt`" + `. It reads and writes with the rights of the person
who runs it, and asks the cluster that kubectl would.

%s
## Install

A release has an archive of it for each platform, and a manifest for krew. From a checkout:

` + "```sh" + `
make build
install bin/kubectl-kongjwt /usr/local/bin/
kubectl kongjwt --version
` + "```" + `

kubectl completes the words of a plugin (Tab) where it finds ` + "`kubectl_complete-kongjwt`" + ` beside it, which is the same binary by another name:

` + "```sh" + `
ln -s kubectl-kongjwt /usr/local/bin/kubectl_complete-kongjwt
` + "```" + `

Called without kubectl, ` + "`kubectl-kongjwt completion bash|zsh|fish|powershell`" + ` writes a script for the shell.

## Exit codes

| Code | |
|---|---|
| 0 | yes, or done |
| 1 | the answer is no: a token is refused, or it is not known whether it is; a difference; a finding; something does not work as its spec says |
| 2 | an error: a wrong flag, a right that is missing, no connection. stderr says which |

## Output

Text is for people, and may change between versions. It is colored on a terminal only, and not where ` + "`NO_COLOR`" + ` is set. ` + "`-o json`" + ` and ` + "`-o yaml`" + ` print one object of ` + "`cli.kongjwt.dev/v1alpha1`" + `.

`

// cliPage is the reference of the kubectl plugin, from its commands.
func cliPage(string) (string, error) {
	root := cli.New(env.New("", genericiooptions.IOStreams{}))
	var page strings.Builder
	fmt.Fprintf(&page, cliHead, commandTable(root))
	var problems []string
	describe := func(cmd *cobra.Command) {
		section, err := commandSection(cmd)
		if err != nil {
			problems = append(problems, err.Error())
		}
		page.WriteString(section)
	}
	for _, cmd := range root.Commands() {
		describe(cmd)
		for _, child := range cmd.Commands() {
			describe(child)
		}
	}
	page.WriteString("## Flags of every command\n\nThey are kubectl's own.\n\n")
	page.WriteString(flagTable(root.PersistentFlags()))
	if len(problems) > 0 {
		return "", fmt.Errorf("kubectl kongjwt: %s", strings.Join(problems, "; "))
	}
	return page.String(), nil
}

// commandTable lists the commands, each with a link to its section.
func commandTable(root *cobra.Command) string {
	var table strings.Builder
	table.WriteString("| Command | |\n|---|---|\n")
	for _, cmd := range root.Commands() {
		fmt.Fprintf(&table, "| [`%s`](#%s) | %s |\n", cmd.Name(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
	}
	return table.String()
}

// commandSection is one command, with its flags but those that every command has.
func commandSection(cmd *cobra.Command) (string, error) {
	if cmd.Short == "" {
		return "", fmt.Errorf("%s does not say what it does", cmd.CommandPath())
	}
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	var section strings.Builder
	fmt.Fprintf(&section, "## %s\n\n%s\n\n", cmd.CommandPath(), long)
	if !cmd.HasSubCommands() {
		fmt.Fprintf(&section, "```text\n%s\n```\n\n", usageLine(cmd))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&section, "```sh\n%s\n```\n\n", unindent(cmd.Example))
	}
	if cmd.HasAvailableLocalFlags() {
		section.WriteString(flagTable(cmd.LocalNonPersistentFlags()) + "\n")
	}
	return section.String(), nil
}

// usageLine is how a command is called: by its place in the plugin, whatever its parent's display name.
func usageLine(cmd *cobra.Command) string {
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSpace(cmd.CommandPath() + " " + arguments)
}

// unindent takes away the two columns that help indents examples by.
func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func flagTable(flags *pflag.FlagSet) string {
	var table strings.Builder
	table.WriteString("| Flag | Default | |\n|---|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		name := "--" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", " + name
		}
		switch {
		case flag.NoOptDefVal != "" && flag.Value.Type() != "bool":
			name += "[=" + kind + "]"
		case kind != "":
			name += " " + kind
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, defaultOf(flag), cell(usage))
	})
	return table.String()
}

// defaultOf is a flag's default, the same on every machine: a folder of the home directory is written as one.
func defaultOf(flag *pflag.Flag) string {
	value := flag.DefValue
	if home, err := os.UserHomeDir(); err == nil && home != "" {
		value = strings.Replace(value, home, "$HOME", 1)
	}
	switch value {
	case "", "[]", "false":
		return "-"
	}
	return "`" + value + "`"
}
