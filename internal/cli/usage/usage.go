// Package usage says what is wrong with a command line, and never repeats an argument: it may be a token.
package usage

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// NoArguments is for commands that take flags only.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Lookup("token") != nil {
		return fmt.Errorf("%s takes no arguments. Pipe the token, which no argument may be: echo \"$TOKEN\" | %s",
			cmd.CommandPath(), cmd.CommandPath())
	}
	return fmt.Errorf("%s takes no arguments, and %d was given; see %s --help", cmd.CommandPath(), len(args), cmd.CommandPath())
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
