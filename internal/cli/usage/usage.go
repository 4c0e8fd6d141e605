// Package usage says what is wrong with a command line, and never repeats an argument: it may be a token.
package usage

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NoArguments is for commands that take flags only.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	path := cmd.CommandPath()
	switch {
	case cmd.Flags().Lookup("token-file") != nil: // --token is a flag of kubectl's as well, on each command
		return fmt.Errorf("%s takes no arguments. Pipe the token, which no argument may be: "+
			"echo \"$TOKEN\" | %s", path, path)
	case cmd.Flags().Lookup("filename") != nil:
		return fmt.Errorf("%s takes no arguments. Write -f before each file: %s -f FILE", path, path)
	}
	return fmt.Errorf("%s takes no arguments. Leave them out; for the flags see %s --help", path, path)
}

// Annotations that cobra keeps groups of flags in: each value is a group's names with spaces between.
const (
	oneRequired = "cobra_annotation_one_required"
	exclusive   = "cobra_annotation_mutually_exclusive"
)

// Flags says which flags are missing, all at once, and which exclude each other. It is cobra's own check in words for
// people; cobra's comes after it.
func Flags(cmd *cobra.Command, _ []string) error {
	var missing []string
	groups := map[string][]string{} // of each kind of group, those that are looked at
	var err error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if slices.Contains(flag.Annotations[cobra.BashCompOneRequiredFlag], "true") && !flag.Changed {
			missing = append(missing, named(flag))
		}
		for _, kind := range []string{oneRequired, exclusive} {
			for _, group := range flag.Annotations[kind] {
				if slices.Contains(groups[kind], group) {
					continue
				}
				groups[kind] = append(groups[kind], group)
				all, given := flagsOf(cmd, group)
				switch {
				case kind == oneRequired && len(given) == 0:
					missing = append(missing, strings.Join(all, " or "))
				case kind == exclusive && len(given) > 1 && err == nil:
					err = fmt.Errorf("%s: only one of them can be given. Leave the others out",
						strings.Join(given, ", "))
				}
			}
		}
	})
	if len(missing) > 0 {
		return fmt.Errorf("%s: missing. For what they are see %s --help", strings.Join(missing, ", "), cmd.CommandPath())
	}
	return err
}

// flagsOf are the flags of a group, and those of them that were given.
func flagsOf(cmd *cobra.Command, group string) (all, given []string) {
	for name := range strings.FieldsSeq(group) {
		flag := cmd.Flags().Lookup(name)
		if flag == nil {
			continue
		}
		all = append(all, named(flag))
		if flag.Changed {
			given = append(given, named(flag))
		}
	}
	return all, given
}

// named is a flag as it is written: the short form where it has one.
func named(flag *pflag.Flag) string {
	if flag.Shorthand != "" {
		return "-" + flag.Shorthand
	}
	return "--" + flag.Name
}

// One is for commands that take one argument, by its name in the usage line; what says in words what it is.
func One(name, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("%s is missing: %s, as in %s %s", name, what, cmd.CommandPath(), name)
		case len(args) > 1:
			return fmt.Errorf("%s takes one %s, and %d were given", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}

// AtMostOne is for commands whose one argument may be left out.
func AtMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes one %s, and %d were given", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}

// Subcommand is for commands that do nothing but hold others: it names those that are near.
func Subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := ""
	if suggestions := cmd.SuggestionsFor(args[0]); len(suggestions) > 0 {
		near = " Did you mean " + strings.Join(suggestions, " or ") + "?"
	}
	return fmt.Errorf("there is no such command.%s See %s --help", near, cmd.CommandPath())
}

// token is what a JSON Web Token looks like (RFC 7519 section 3), a part of one too: each begins with a JSON object
// in base64url.
var token = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}(\.[A-Za-z0-9_-]*)*`)

// WithoutTokens is an error whose text has no token in it: those of flags quote values.
func WithoutTokens(err error) error {
	text := err.Error()
	redacted := token.ReplaceAllString(text, "[a token]")
	if redacted == text {
		return err
	}
	return errors.New(redacted + "; a token is read from standard input, a file, a variable or a Secret")
}
