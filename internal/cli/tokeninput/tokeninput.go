// Package tokeninput reads a token from where a shell's history and a process list do not show it.
package tokeninput

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
)

// maxBytes is more than any header that Kong takes (large_client_header_buffers, 8 KiB by default).
const maxBytes = 64 << 10

// DataKey is where a JwtToken's Secret has its token.
const DataKey = "token"

// Flags say where a token comes from. Without any it is standard input.
type Flags struct {
	token, file, secret, variable, unsafe string
}

// Add gives a subcommand the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.token, "token", "", `Where the token is: "-" is standard input, which is the default`)
	flags.StringVar(&f.file, "token-file", "", "File that holds the token")
	flags.StringVar(&f.secret, "token-secret", "", "Secret that holds the token: [NAMESPACE/]NAME[:KEY]; KEY is token by default, as in a JwtToken's Secret")
	flags.StringVar(&f.variable, "token-env", "", "Environment variable that holds the token")
	flags.StringVar(&f.unsafe, "unsafe-token", "", "The token itself; it stays in the shell's history, and every process of the machine can see it")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file", "token-secret", "token-env", "unsafe-token")
	cobra.CheckErr(cmd.MarkFlagFilename("token-file"))
}

// Read reads the token: without spaces around it, and without "Bearer" before it. Errors never quote it.
func (f *Flags) Read(ctx context.Context, e *env.Env) (credential.Sensitive, error) {
	text, err := f.read(ctx, e)
	if err != nil {
		return credential.Sensitive{}, err
	}
	text = strip(text)
	switch {
	case text == "":
		return credential.Sensitive{}, errors.New("there is no token: what was read is empty")
	case len(text) > maxBytes:
		return credential.Sensitive{}, fmt.Errorf("what was read is no token: it has more than %d bytes", maxBytes)
	case strings.ContainsAny(text, " \t\r\n"):
		return credential.Sensitive{}, errors.New("what was read is no token: it has spaces or line breaks in it; give one token")
	}
	return credential.Conceal(text), nil
}

func (f *Flags) read(ctx context.Context, e *env.Env) (string, error) {
	switch {
	case f.token != "" && f.token != "-":
		return "", errors.New(`--token takes "-" only, for standard input: a token on the command line stays in the shell's history. ` +
			"Use --token-file, --token-secret or --token-env, or --unsafe-token if that is what you want")
	case f.unsafe != "":
		return f.unsafe, nil
	case f.variable != "":
		value, found := os.LookupEnv(f.variable)
		if !found {
			return "", fmt.Errorf("--token-env: the environment has no variable %s", f.variable)
		}
		return value, nil
	case f.file != "":
		file, err := os.Open(f.file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		defer func() { _ = file.Close() }()
		return limited(file)
	case f.secret != "":
		return f.fromSecret(ctx, e)
	default:
		if e.Interactive() {
			_, _ = fmt.Fprintln(e.ErrOut, "Paste the token, then press Enter and Ctrl-D.")
		}
		return limited(e.In)
	}
}

func limited(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxBytes+64))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return string(content), nil
}

func (f *Flags) fromSecret(ctx context.Context, e *env.Env) (string, error) {
	name, key, hasKey := strings.Cut(f.secret, ":")
	if !hasKey {
		key = DataKey
	}
	namespace, local, qualified := strings.Cut(name, "/")
	if !qualified {
		local = name
		var err error
		if namespace, err = e.Namespace(); err != nil {
			return "", err
		}
	}
	if namespace == "" || local == "" || key == "" || strings.Contains(local, "/") {
		return "", errors.New("--token-secret: write it [NAMESPACE/]NAME[:KEY]")
	}
	kube, err := e.Client()
	if err != nil {
		return "", err
	}
	var secret corev1.Secret
	if err := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: local}, &secret); err != nil {
		return "", fmt.Errorf("--token-secret: %w", err)
	}
	value, found := secret.Data[key]
	if !found {
		return "", fmt.Errorf("--token-secret: Secret %s/%s has no key %s; it has: %s", namespace, local, key,
			strings.Join(slices.Sorted(maps.Keys(secret.Data)), ", "))
	}
	return string(value), nil
}

// strip takes away what surrounds a token where people copy it from: spaces, quotes, the name of the header, the
// scheme (RFC 6750 section 2.1).
func strip(text string) string {
	text = strings.Trim(text, " \t\r\n\"'")
	for _, prefix := range []string{"authorization:", "bearer "} {
		if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			text = strings.TrimSpace(text[len(prefix):])
		}
	}
	return text
}
