package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/material"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/tokeninput"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/usage"
	"github.com/kongjwt/kong-jwt-operator/internal/credential"
	"github.com/kongjwt/kong-jwt-operator/internal/token"
)

type verifyOptions struct {
	input     tokeninput.Flags
	output    output.Flags
	publicKey string
	base64    bool
}

// Verification is the answer.
type Verification struct {
	Valid bool `json:"valid"`
	// Signer is whose credential was tried.
	Signer string  `json:"signer"`
	Checks []Check `json:"checks"`
}

// Check is one thing that was looked at.
type Check struct {
	Name    string `json:"name"`
	Passed  bool   `json:"passed"`
	Message string `json:"message"`
}

func verify(e *env.Env) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [CONSUMER[/CREDENTIAL]]",
		Short: "Check a token's signature and times against a consumer's credential",
		Long: `Check a token's signature, algorithm and times.

Without a consumer it is that of the namespace whose credential has the key that the token's
kid or iss names. Former generations of a rotated credential count too, where you may read
the operator's state of the consumer. Exits with 1 where the token is not valid.

Why a service refuses a token is more than this: see kubectl kongjwt explain.`,
		Example: `  # Against the credential that the token names
  echo "$TOKEN" | kubectl kongjwt token verify

  # Against one credential
  kubectl kongjwt token verify worker/primary --token-env TOKEN

  # Against a public key in a file, with no cluster
  kubectl kongjwt token verify --public-key issuer.pem --token-file token.jwt`,
		Args:              usage.AtMostOne("CONSUMER"),
		ValidArgsFunction: complete.Consumer(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), e, args)
		},
	}
	o.input.Add(cmd)
	cmd.Flags().StringVar(&o.publicKey, "public-key", "", "File with a public key (PEM) to verify with, instead of a consumer's credential")
	cmd.Flags().BoolVar(&o.base64, "secret-is-base64", false, "Verify with what the secret decodes to, as services with jwt.secretIsBase64 do")
	cobra.CheckErr(cmd.MarkFlagFilename("public-key"))
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *verifyOptions) run(ctx context.Context, e *env.Env, args []string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	if o.publicKey != "" && len(args) > 0 {
		return errors.New("give a consumer or --public-key, not both")
	}
	text, err := o.input.Read(ctx, e)
	if err != nil {
		return err
	}
	parsed, err := tokeninput.Decode(text.Reveal())
	if err != nil {
		return err
	}
	signer, materials, err := o.candidates(ctx, e, args, parsed)
	if err != nil {
		return err
	}
	result := judge(text.Reveal(), parsed, materials, e.Clock.Now(), signing(o.base64))
	result.Signer = signer
	err = o.output.Print(e.Out, output.Answer{Kind: "TokenVerification", Value: result, Text: result.print})
	if err == nil && !result.Valid {
		return env.ErrNegative
	}
	return err
}

// candidates are the materials that may have signed the token.
func (o *verifyOptions) candidates(ctx context.Context, e *env.Env, args []string, parsed tokeninput.Decoded) (signer string, all []credential.Material, err error) {
	if o.publicKey != "" {
		m, err := fromFile(o.publicKey, parsed)
		return o.publicKey, []credential.Material{m}, err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return "", nil, err
	}
	kube, err := e.Client()
	if err != nil {
		return "", nil, err
	}
	consumer, spec, err := o.named(ctx, kube, namespace, args, parsed)
	if err != nil {
		return "", nil, err
	}
	signer = fmt.Sprintf("credential %s of JwtConsumer %s/%s", spec.Name, namespace, consumer.Name)
	current, err := material.Of(ctx, kube, consumer, spec)
	if err == nil {
		all = append(all, current)
	}
	// The state is a help where it can be read, and no condition.
	if former, stateErr := material.Revisions(ctx, kube, consumer, spec.Name); stateErr == nil {
		all = append(all, former...)
	}
	if len(all) == 0 {
		return "", nil, err
	}
	return signer, all, nil
}

// named finds the credential that the arguments or, without any, the token's kid or iss name.
func (o *verifyOptions) named(ctx context.Context, kube client.Reader, namespace string, args []string, parsed tokeninput.Decoded) (*v1alpha1.JwtConsumer, v1alpha1.Credential, error) {
	keys := []string{parsed.Text("kid"), parsed.Text("iss")}
	holds := func(consumer *v1alpha1.JwtConsumer, c v1alpha1.Credential) bool {
		return slices.Contains(keys, material.Key(consumer, c)) || slices.ContainsFunc(consumer.Status.Credentials, func(s v1alpha1.CredentialStatus) bool {
			return s.Name == c.Name && s.Key != "" && slices.Contains(keys, s.Key)
		})
	}
	if len(args) > 0 {
		ref, err := material.ParseReference(args[0])
		if err != nil {
			return nil, v1alpha1.Credential{}, err
		}
		consumer, spec, err := material.Find(ctx, kube, namespace, ref, func(c v1alpha1.Credential) bool { return c.JWKS == nil })
		if err == nil || ref.Credential != "" {
			return consumer, spec, err
		}
		// Several: the one whose key the token names, if it names one.
		one := &v1alpha1.JwtConsumer{}
		if getErr := kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Consumer}, one); getErr != nil {
			return nil, v1alpha1.Credential{}, err
		}
		for _, c := range one.Spec.Credentials {
			if holds(one, c) {
				return one, c, nil
			}
		}
		return nil, v1alpha1.Credential{}, err
	}
	var consumers v1alpha1.JwtConsumerList
	if err := kube.List(ctx, &consumers, client.InNamespace(namespace)); err != nil {
		return nil, v1alpha1.Credential{}, fmt.Errorf("list JwtConsumers: %w", err)
	}
	for i := range consumers.Items {
		for _, c := range consumers.Items[i].Spec.Credentials {
			if holds(&consumers.Items[i], c) {
				return &consumers.Items[i], c, nil
			}
		}
	}
	return nil, v1alpha1.Credential{}, fmt.Errorf("no JwtConsumer of namespace %s has a credential with the key that the token's kid or iss names; name the consumer, or the namespace with -n", namespace)
}

func fromFile(path string, parsed tokeninput.Decoded) (credential.Material, error) {
	algorithm := v1alpha1.Algorithm(parsed.Algorithm())
	if !slices.Contains(credential.Algorithms(), algorithm) || credential.FamilyOf(algorithm) == credential.HMAC {
		return credential.Material{}, fmt.Errorf("--public-key: the token's alg is %q, which no public key verifies on Kong", output.Line(parsed.Algorithm()))
	}
	content, err := os.ReadFile(path) //nolint:gosec // The file that the person names.
	if err != nil {
		return credential.Material{}, fmt.Errorf("--public-key: %w", err)
	}
	return credential.Material{Algorithm: algorithm, PublicKeyPEM: string(content)}, nil
}

// judge is pure.
func judge(text string, parsed tokeninput.Decoded, materials []credential.Material, now time.Time, list []token.Option) Verification {
	var result Verification
	check := func(name string, passed bool, format string, args ...any) {
		result.Checks = append(result.Checks, Check{Name: name, Passed: passed, Message: fmt.Sprintf(format, args...)})
	}
	signed := slices.IndexFunc(materials, func(m credential.Material) bool { return token.SignedWith(text, m, list...) })
	fits := slices.ContainsFunc(materials, func(m credential.Material) bool { return string(m.Algorithm) == parsed.Algorithm() })
	switch {
	case !fits:
		check("algorithm", false, "the token's alg is %s, the credential's %s", parsed.Algorithm(), materials[0].Algorithm)
	default:
		check("algorithm", true, "%s", parsed.Algorithm())
	}
	switch {
	case signed < 0:
		check("signature", false, "it is not signed with this credential")
	case signed > 0 && materials[signed].Key != materials[0].Key:
		check("signature", true, "signed with a former generation, key %s; it is refused once that retires", materials[signed].Key)
	default:
		check("signature", true, "it is signed with this credential")
	}
	if signed >= 0 && materials[signed].Key != "" {
		key := materials[signed].Key
		check("key", parsed.Text("kid") == key || parsed.Text("iss") == key, "Kong finds the credential by kid or iss, and its key is %s", key)
	}
	for _, line := range times(parsed, now) {
		check(line.text[:3], line.tone != output.Bad, "%s", line.text[5:])
	}
	result.Valid = !slices.ContainsFunc(result.Checks, func(c Check) bool { return !c.Passed })
	return result
}

func (v Verification) print(out io.Writer, style output.Style, _ bool) error {
	verdict, tone := "valid", output.Good
	if !v.Valid {
		verdict, tone = "not valid", output.Bad
	}
	if _, err := fmt.Fprintf(out, "%s, by %s\n", style.Paint(tone, verdict), v.Signer); err != nil {
		return err
	}
	for _, c := range v.Checks {
		mark, tone := "ok    ", output.Good
		if !c.Passed {
			mark, tone = "FAILED", output.Bad
		}
		if _, err := fmt.Fprintf(out, "  %s  %-9s  %s\n", style.Paint(tone, mark), c.Name, output.Line(c.Message)); err != nil {
			return err
		}
	}
	return nil
}
