package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

// createOptions are the flags.
type createOptions struct {
	claims, audience []string
	subject          string
	ttl              time.Duration
	base64           bool
}

func create(e *env.Env) *cobra.Command {
	var o createOptions
	cmd := &cobra.Command{
		Use:   "create CONSUMER[/CREDENTIAL]",
		Short: "Sign a token for a consumer, and print it",
		Long: `Sign a token for a JwtConsumer, with the Secret that its clients sign with and that you may read.

Prints the token and nothing else. iss and kid carry the credential's key, so that it passes
whichever of them a service reads.`,
		Example: `  # Good for ten minutes
  kubectl kongjwt token create john --ttl 10m

  # With claims: what is JSON is taken as JSON, all else as text
  kubectl kongjwt token create john --subject alice --audience orders --claim admin=true --claim team=blue --claim 'id="42"'

  # One credential of several, for a service with secretIsBase64
  kubectl kongjwt token create worker/primary -n team-a --secret-is-base64

  # Expired an hour ago: does the service verify exp?
  kubectl kongjwt token create john --ttl=-1h`,
		Args:              usage.One("CONSUMER", "the JwtConsumer to sign for"),
		ValidArgsFunction: complete.Consumer(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), e, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.claims, "claim", nil, "A claim as NAME=VALUE; may be given several times")
	flags.StringVar(&o.subject, "subject", "", "The sub claim")
	flags.StringArrayVar(&o.audience, "audience", nil, "The aud claim; may be given several times")
	flags.DurationVar(&o.ttl, "ttl", time.Hour, "How long the token is valid; below zero it is expired already")
	flags.BoolVar(&o.base64, "secret-is-base64", false, "Sign with what the secret decodes to, as services with jwt.secretIsBase64 verify")
	return cmd
}

func (o *createOptions) run(ctx context.Context, e *env.Env, reference string) error {
	claims, err := o.read()
	if err != nil {
		return err
	}
	ref, err := material.ParseReference(reference)
	if err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	consumer, spec, err := material.Find(ctx, kube, namespace, ref, canSign)
	if err != nil {
		return err
	}
	m, err := material.Of(ctx, kube, consumer, spec)
	if err != nil {
		return err
	}
	signed, err := token.Mint(m, claims, e.Clock.Now(), o.ttl, signing(o.base64)...)
	if err != nil {
		return err
	}
	if consumer.Spec.Revoked {
		_, _ = fmt.Fprintf(e.ErrOut, "warning: JwtConsumer %s/%s is revoked; Kong refuses its tokens\n", namespace, consumer.Name)
	}
	_, err = fmt.Fprintln(e.Out, signed.Token.Reveal())
	return err
}

func signing(base64 bool) []token.Option {
	if base64 {
		return []token.Option{token.SecretIsBase64()}
	}
	return nil
}

// canSign says whether a credential's material may be in the cluster. Whether it is, its Secret says.
func canSign(c v1alpha1.Credential) bool {
	switch {
	case c.Generate != nil:
		return true
	case c.SecretRef != nil:
		return credential.FamilyOf(c.Algorithm) == credential.HMAC || c.Algorithm == "" || c.SecretRef.DataKeys != nil && c.SecretRef.DataKeys.PrivateKey != ""
	default:
		return false
	}
}

// elsewhere are the claims that are not set by --claim, and what sets them.
var elsewhere = map[string]string{
	"sub": "use --subject", "aud": "use --audience", "exp": "use --ttl", "iss": "it is the credential's key", "kid": "it is the credential's key",
	"iat": "it is now", "nbf": "it is now",
}

// read reads the flags. Errors quote no values of claims: they may be personal.
func (o *createOptions) read() (token.Claims, error) {
	claims := token.Claims{Subject: o.subject, Audience: o.audience, Extra: map[string]any{}}
	if o.ttl == 0 {
		return claims, errors.New("--ttl: a token that is valid for no time is of no use")
	}
	for _, claim := range o.claims {
		name, value, found := strings.Cut(claim, "=")
		if !found || name == "" {
			return claims, errors.New("--claim: write it NAME=VALUE")
		}
		if instead, taken := elsewhere[name]; taken {
			return claims, fmt.Errorf("--claim: %s may not be set here: %s", name, instead)
		}
		if _, twice := claims.Extra[name]; twice {
			return claims, fmt.Errorf("--claim: %s is set twice; for a list write '%s=[\"a\",\"b\"]'", name, name)
		}
		claims.Extra[name] = valueOf(value)
	}
	for _, name := range slices.Sorted(maps.Keys(claims.Extra)) {
		if strings.ContainsAny(name, "\n\r\x00") {
			return claims, errors.New("--claim: a name is one line")
		}
	}
	return claims, nil
}

// valueOf takes JSON as JSON, with every digit of its numbers, and all else as text.
func valueOf(text string) any {
	if !json.Valid([]byte(text)) {
		return text
	}
	return json.RawMessage(text)
}
