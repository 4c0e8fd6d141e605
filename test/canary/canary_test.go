package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const (
	secretText = "Zm9v+bar/quux\"<&>-0123456789abcdefghijkl"
	pemText    = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n-----END PRIVATE KEY-----\n"
	tokenText  = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJlLW9mLWEtdG9rZW4tMDEyMzQ1Njc4OQ"
)

func secret(namespace string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s"}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

func managed(s *corev1.Secret) *corev1.Secret {
	s.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	return s
}

func search(t *testing.T, c *Canaries, text string) []Finding {
	t.Helper()
	found, err := c.Search("text", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// A secret is found in whatever way it gets into a line.
func TestWaysOut(t *testing.T) {
	document := inJSON(map[string]any{"credentials": map[string]any{"a": map[string]any{"revisions": []any{map[string]any{"key": "a-public-key-name", "secret": secretText}}}}})
	for name, c := range map[string]struct {
		data map[string]string
		line string
	}{
		"as it is":                   {map[string]string{"secret": secretText}, "x " + secretText + " y"},
		"after a line":               {map[string]string{"secret": secretText}, "x\n" + secretText},
		"in JSON":                    {map[string]string{"secret": secretText}, inJSON(map[string]string{"a": secretText})},
		"as Go quotes it":            {map[string]string{"secret": secretText}, fmt.Sprintf("%q", secretText)},
		"in a query":                 {map[string]string{"secret": secretText}, "?a=" + url.QueryEscape(secretText)},
		"in a path":                  {map[string]string{"secret": secretText}, "/a/" + url.PathEscape(secretText)},
		"in hex":                     {map[string]string{"secret": secretText}, hex.EncodeToString([]byte(secretText))},
		"as bytes":                   {map[string]string{"secret": secretText}, fmt.Sprintf("%d", []byte(secretText))},
		"in base64":                  {map[string]string{"secret": secretText}, base64.StdEncoding.EncodeToString([]byte(secretText))},
		"in base64url":               {map[string]string{"secret": secretText}, base64.RawURLEncoding.EncodeToString([]byte(secretText))},
		"in base64, a byte before":   {map[string]string{"secret": secretText}, base64.StdEncoding.EncodeToString([]byte("1" + secretText + "22"))},
		"in base64, two bytes":       {map[string]string{"secret": secretText}, base64.URLEncoding.EncodeToString([]byte("12" + secretText + "3"))},
		"shortened":                  {map[string]string{"secret": secretText}, secretText[:20] + "..."},
		"its end":                    {map[string]string{"secret": secretText}, "..." + secretText[len(secretText)-18:]},
		"shortened, in base64":       {map[string]string{"secret": secretText}, base64.StdEncoding.EncodeToString([]byte("secret=" + secretText[:20]))},
		"in a dump":                  {map[string]string{"secret": secretText}, inJSON(hex.Dump([]byte("k8s\x00 something before " + secretText)))},
		"with a line's end":          {map[string]string{"secret": secretText + "\n"}, secretText},
		"eight bytes":                {map[string]string{"password": "canary-1"}, "canary-1"},
		"a private key":              {map[string]string{"private.pem": pemText}, inJSON(pemText)},
		"a private key in base64":    {map[string]string{"private.pem": pemText}, base64.StdEncoding.EncodeToString([]byte(pemText))},
		"one line of a private key":  {map[string]string{"private.pem": pemText}, strings.Split(pemText, "\n")[2]},
		"a token":                    {map[string]string{"token": tokenText}, tokenText},
		"a token in a header":        {map[string]string{"authorization": "Bearer " + tokenText}, `"Authorization": ["Bearer ` + tokenText + `"]`},
		"what a document holds":      {map[string]string{"state.json": document}, secretText},
		"a document as it is":        {map[string]string{"state.json": document}, document},
		"a document in base64":       {map[string]string{"state.json": document}, base64.StdEncoding.EncodeToString([]byte(document))},
		"what is no JSON after all":  {map[string]string{"config": `{"password": canary-canary`}, `cannot read {"password": canary-canary`},
		"a value of a configuration": {map[string]string{"config": `{"headers": {"x-key": "canary-canary"}}`}, "canary-canary"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			canaries := New()
			canaries.Learn(secret("team-a", c.data))
			g.Expect(search(t, canaries, "nothing here\n")).To(BeEmpty())
			found := search(t, canaries, "first\n"+c.line+"\n")
			g.Expect(found).NotTo(BeEmpty())
			for _, finding := range found {
				g.Expect(finding.Where).To(MatchRegexp(`^text:[23]$`))
				g.Expect(finding.What).To(ContainSubstring("Secret team-a/s"))
				for _, value := range c.data {
					g.Expect(finding.String()).NotTo(ContainSubstring(value), "a finding is shown to people")
				}
			}
		})
	}
}

// What everybody may know is not looked for.
func TestWhatIsNoSecret(t *testing.T) {
	g := NewWithT(t)
	canaries := New()
	canaries.Learn(secret("team-a", map[string]string{
		"key": "team-a.caller.1", "algorithm": "HS256-and-more", "short": "abc", "empty": "",
		"public.pem": strings.ReplaceAll(pemText, "PRIVATE", "PUBLIC"),
		"ca":         "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUabcdefghijklmnopqrstuvwxyz\n-----END CERTIFICATE-----\n",
		"kept.json":  `{"version": 1, "sets": {"idp": {"keys": [{"kid": "a-kid-of-an-issuer", "publicKey": "-----BEGIN PUBLIC KEY-----\nx", "since": "2026-11-27T00:00:00Z"}]}}}`,
	}))
	g.Expect(canaries.Len()).To(BeZero())
	g.Expect(search(t, canaries, "team-a.caller.1 HS256-and-more abc a-kid-of-an-issuer "+pemText)).To(BeEmpty())
}

// Header and claims of a token are in statuses; only with its signature is it one.
func TestATokenIsItsSignature(t *testing.T) {
	g := NewWithT(t)
	canaries := New()
	canaries.Learn(secret("team-a", map[string]string{"token": tokenText}))
	g.Expect(search(t, canaries, tokenText[:strings.LastIndex(tokenText, ".")])).To(BeEmpty())
}

func TestMaterialOfTheOperatorIsInOneNamespace(t *testing.T) {
	g := NewWithT(t)
	canaries := New()
	canaries.Learn(managed(secret("team-a", map[string]string{"secret": secretText})))
	canaries.Learn(managed(secret("team-a", map[string]string{"state.json": `{"secret": ` + inJSON(secretText) + `}`})))
	g.Expect(canaries.Astray()).To(BeEmpty(), "the state and the Secret for clients")

	ofKong := managed(secret("the-operators-own", map[string]string{"secret": secretText}))
	ofKong.Labels["konghq.com/credential"] = "jwt"
	canaries.Learn(ofKong)
	g.Expect(canaries.Astray()).To(BeEmpty(), "what an ingress controller reads")

	// Users may use one secret twice, and the operator keeps it in both places.
	canaries.Learn(secret("team-a", map[string]string{"secret": "of-a-user-0123456789"}))
	canaries.Learn(managed(secret("team-b", map[string]string{"secret": "of-a-user-0123456789"})))
	g.Expect(canaries.Astray()).To(BeEmpty())

	canaries.Learn(secret("team-b", map[string]string{"copied": secretText}))
	g.Expect(canaries.Astray()).To(Equal([][]string{{"team-a", "team-b"}}))
}
