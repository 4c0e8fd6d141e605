// Package output is how subcommands answer: -o, tables, and colors where somebody looks.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// Formats of -o. Text is the default: for people, and free to change between versions.
const (
	Text = ""
	Wide = "wide"
	JSON = "json"
	YAML = "yaml"
	Name = "name"
)

// APIVersion of what json and yaml print.
const APIVersion = "cli.kongjwt.dev/v1alpha1"

// Flags hold -o.
type Flags struct {
	// Format is one of the formats that were added.
	Format  string
	formats []string
}

// Add gives a subcommand -o with the formats, of which Text is always one, and its completion.
func (f *Flags) Add(cmd *cobra.Command, formats ...string) {
	f.formats = formats
	choices := strings.Join(formats, "|")
	cmd.Flags().StringVarP(&f.Format, "output", "o", f.Format, "Output format: "+choices)
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

// Check refuses a format that was not added. It is for the begin of a subcommand, before work is done.
func (f *Flags) Check() error {
	if f.Format != Text && !slices.Contains(f.formats, f.Format) {
		return fmt.Errorf("-o %s: there is no such output; choose one of %s", f.Format, strings.Join(f.formats, ", "))
	}
	return nil
}

// Structured says whether the answer is for a machine: nothing but it may be on stdout.
func (f *Flags) Structured() bool { return f.Format == JSON || f.Format == YAML || f.Format == Name }

// Wide says whether people asked for more columns.
func (f *Flags) Wide() bool { return f.Format == Wide }

// StyleOf is the style of text for out: colors where it is a terminal.
func StyleOf(out io.Writer) Style { return Style{on: env.Color(out)} }

// Answer is one answer in every form.
type Answer struct {
	// Kind of Value in json and yaml; empty where Value has an apiVersion and kind of its own.
	Kind string
	// Value is an object for json and yaml: anything that encoding/json takes.
	Value any
	// Names for -o name, such as jwtconsumer.kongjwt.dev/john.
	Names []string
	// Text writes the answer for people; style colors only where out is a terminal.
	Text func(out io.Writer, style Style, wide bool) error
}

// Print writes the answer to out in the format of -o.
func (f *Flags) Print(out io.Writer, answer Answer) error {
	if err := f.Check(); err != nil {
		return err
	}
	switch f.Format {
	case JSON:
		return printJSON(out, answer)
	case YAML:
		return printYAML(out, answer)
	case Name:
		for _, name := range answer.Names {
			if _, err := fmt.Fprintln(out, name); err != nil {
				return err
			}
		}
		return nil
	default:
		return answer.Text(out, StyleOf(out), f.Wide())
	}
}

func printJSON(out io.Writer, answer Answer) error {
	content, err := encode(answer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", content)
	return err
}

func printYAML(out io.Writer, answer Answer) error {
	content, err := encode(answer)
	if err != nil {
		return err
	}
	if content, err = yaml.JSONToYAML(content); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	_, err = out.Write(content)
	return err
}

// encode puts apiVersion and kind before the fields of the value, which keep their order.
func encode(answer Answer) ([]byte, error) {
	content, err := json.MarshalIndent(answer.Value, "", "    ")
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	if answer.Kind == "" {
		return content, nil
	}
	rest, isObject := strings.CutPrefix(string(content), "{")
	if !isObject {
		return nil, fmt.Errorf("encode the answer: %s is no object", answer.Kind)
	}
	head := fmt.Sprintf("{\n    \"apiVersion\": %q,\n    \"kind\": %q", APIVersion, answer.Kind)
	if strings.TrimSpace(rest) == "}" {
		return []byte(head + "\n}"), nil
	}
	return []byte(head + "," + rest), nil
}
