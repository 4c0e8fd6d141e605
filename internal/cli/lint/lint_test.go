package lint_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/lint"
)

const (
	head     = "apiVersion: kongjwt.dev/v1alpha1\nmetadata: {name: a}\n"
	strict   = `jwt: {claimsToVerify: [exp], uriParamNames: [], maximumExpiration: 1h}, access: {groups: [g]}, rateLimit: {minute: 1}`
	upstream = `upstream: {url: "https://a.example.com"}, routes: [{name: r, paths: [/a], protocols: [https]}]`
)

func service(fields string) string {
	return head + "kind: JwtProtectedService\nspec: {" + fields + "}\n"
}
func consumer(credential string) string {
	return head + "kind: JwtConsumer\nspec: {credentials: [{name: c, " + credential + "}]}\n"
}
func gateway(fields string) string { return head + "kind: KongGateway\nspec: {" + fields + "}\n" }

// someone is a consumer that is good, for rules about references.
const someone = head + "kind: JwtConsumer\nspec: {groups: [g], credentials: [{name: c, generate: {secretName: s, rotation: {interval: 720h}}}]}\n"

// following is a consumer that follows an issuer.
const following = head + "kind: JwtConsumer\nspec: {groups: [g], credentials: [{name: c, algorithm: RS256, " +
	"jwks: {url: 'https://login.example.com/jwks'}}]}\n"

// making is a service that makes a header of a claim.
var making = strings.Replace(service(strings.Replace(upstream, "a.example.com", "A.example.com:443/x", 1)+", "+strict+
	", claims: {headers: [{claim: sub, header: X-Token-Subject}]}"), "{name: a}", "{namespace: b, name: a}", 1)

// byKid is a service that names an issuer and an audience.
var byKid = upstream + ", " + strings.Replace(strict, "[exp]", "[exp], keyClaimName: kid", 1) +
	", claims: {issuers: [i], audiences: [a]}"

const goodGateway = `adminAPI: {url: "https://k.example.com"}, policy: {minSecretBytes: 32}`

// findings gives the rules that a manifest breaks, each with its severity.
func findings(t *testing.T, manifest string, args ...string) map[string]string {
	t.Helper()
	s := clitest.New(t)
	s.In.WriteString(manifest)
	err := s.Run(t, lint.Command, append([]string{"-f", "-", "-o", "json"}, args...)...)
	if err != nil && !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	var report lint.Report
	if err := json.Unmarshal(s.Out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if report.Passed != (err == nil) {
		t.Errorf("passed is %v, the exit says %v", report.Passed, err)
	}
	found := map[string]string{}
	for _, f := range report.Findings {
		found[f.Rule] = string(f.Severity)
		if f.Message == "" || f.Name != "a" || f.File != "stdin" {
			t.Errorf("%+v", f)
		}
	}
	return found
}

// broken has a manifest for each rule that breaks it alone.
var broken = map[string]struct{ manifest, severity string }{
	"invalid":                  {service(upstream + ", " + strict + ", ratelimit: {minute: 1}"), "error"},
	"no-expiry":                {service(upstream + ", " + strings.Replace(strict, "[exp], uriParamNames: [], maximumExpiration: 1h", "[nbf], uriParamNames: []", 1)), "warning"},
	"anonymous-consumer":       {service(upstream + ", " + strings.Replace(strict, "[exp]", "[exp], anonymous: guest", 1)), "warning"},
	"any-namespace":            {service(strings.Replace(upstream+", "+strict, "access: {groups: [g]}", "access: {from: AnyNamespace}", 1)), "warning"},
	"issuers-without-audience": {service(upstream + ", " + strict + ", claims: {issuers: [i]}"), "warning"},
	"issuer-not-bound":         {service(byKid) + "---\n" + following + "---\n" + someone, "warning"},
	"clear-text-route":         {service(strings.Replace(upstream, "[https]", "[http, https]", 1) + ", " + strict), "warning"},
	"pinned-key-rotates":       {consumer("key: k, generate: {secretName: s, rotation: {interval: 1h}}"), "warning"},
	"rare-rotation":            {consumer("generate: {secretName: s, rotation: {interval: 9000h}}"), "warning"},
	"short-overlap":            {consumer("generate: {secretName: s, rotation: {interval: 3m}}"), "warning"},
	"token-in-query":           {service(upstream + ", " + strings.Replace(strict, "uriParamNames: [], ", "", 1)), "info"},
	"token-in-cookie":          {service(upstream + ", " + strings.Replace(strict, "[exp]", "[exp], cookieNames: [t]", 1)), "warning"},
	"default-http":             {service(strings.Replace(upstream, ", protocols: [https]", "", 1) + ", " + strict), "info"},
	"no-maximum-expiration":    {service(upstream + ", " + strings.Replace(strict, ", maximumExpiration: 1h", "", 1)), "info"},
	"no-rate-limit":            {service(upstream + ", " + strings.Replace(strict, ", rateLimit: {minute: 1}", "", 1)), "info"},
	"no-access":                {service(upstream + ", " + strings.Replace(strict, ", access: {groups: [g]}", "", 1)), "info"},
	"no-routes":                {service(`upstream: {url: "https://a.example.com"}, ` + strict), "warning"},
	"star-in-path":             {service(strings.Replace(upstream, "[/a]", "[/a/*]", 1) + ", " + strict), "warning"},
	"expression-without-tilde": {service(strings.Replace(upstream, "[/a]", `['/a/\d+']`, 1) + ", " + strict), "warning"},
	"unmatched-host":           {service(strings.Replace(upstream, "[/a]", "[/a], hosts: [API.example.com]", 1) + ", " + strict), "warning"},
	"preflight-without-route":  {service(strings.Replace(upstream, "[/a]", "[/a], methods: [GET]", 1) + ", " + strict + ", plugins: [{name: c, plugin: cors}]"), "warning"},
	"access-no-consumer":       {service(upstream+", "+strings.Replace(strict, "{groups: [g]}", "{consumers: [{name: nobdy}]}", 1)) + "---\n" + someone, "warning"},
	"claim-header-from-client": {service(upstream+", "+strict) + "---\n" + making, "warning"},
	"any-audience":             {service(upstream+", "+strict) + "---\n" + following, "warning"},
	"access-no-group":          {service(upstream+", "+strings.Replace(strict, "[g]", "[gg]", 1)) + "---\n" + someone, "info"},
	"anonymous-nobody":         {service(upstream+", "+strings.Replace(strict, "[exp]", "[exp], anonymous: guest", 1)) + "---\n" + someone, "warning"},
	"upstream-clear-text":      {service(strings.Replace(upstream, "https://a", "http://a", 1) + ", " + strict), "info"},
	"no-rotation":              {consumer("generate: {secretName: s}"), "info"},
	"kong-version":             {consumer("algorithm: PS256, generate: {secretName: s, rotation: {interval: 720h}}"), "error"},
	"long-token":               {head + "kind: JwtToken\nspec: {consumerRef: {name: c, credential: p}, secretName: s, ttl: 25h}\n", "warning"},
	"secret-in-config":         {service(upstream + ", " + strict + ", plugins: [{name: p, plugin: http-log, config: {headers: [{apiToken: canary-value}]}}]"), "warning"},
	"gateway-clear-text":       {gateway(strings.Replace(goodGateway, "https", "http", 1)), "warning"},
	"gateway-not-verified":     {gateway(strings.Replace(goodGateway, `com"`, `com", tls: {insecureSkipVerify: true}`, 1)), "warning"},
	"gateway-any-identity":     {gateway(strings.Replace(goodGateway, "minSecretBytes", "identities: Any, minSecretBytes", 1)), "info"},
	"short-secrets":            {gateway(`adminAPI: {url: "https://k.example.com"}`), "info"},
}

func TestEveryRuleFindsWhatBreaksItAlone(t *testing.T) {
	for rule, c := range broken {
		t.Run(rule, func(t *testing.T) {
			// What cannot be broken alone is disabled beside it.
			beside := map[string][]string{
				"no-expiry": {"--disable", "no-maximum-expiration"}, "anonymous-nobody": {"--disable", "anonymous-consumer"},
				"kong-version": {"--kong-version", "3.4.2"},
			}[rule]
			found := findings(t, c.manifest, beside...)
			if len(found) != 1 || found[rule] != c.severity {
				t.Errorf("found %v, want %s alone", found, rule)
			}
			if rule == "invalid" {
				return // no matter of taste
			}
			if found := findings(t, c.manifest, append(beside, "--disable", rule)...); len(found) != 0 {
				t.Errorf("disabled, and found %v", found)
			}
			excepted := strings.Replace(c.manifest, "{name: a}", "{name: a, annotations: {"+lint.Annotation+": 'other, "+rule+"'}}", 1)
			if found := findings(t, excepted, beside...); len(found) != 0 {
				t.Errorf("excepted, and found %v", found)
			}
		})
	}
}

// TestNullsAreLeftOut: a null is a field that is not there, as for the API server, and ends no run.
func TestNullsAreLeftOut(t *testing.T) {
	fine := service(upstream + ", " + strict)
	for name, c := range map[string]struct{ manifest, rule string }{
		"a rotation":      {consumer("generate: {secretName: s, rotation: null}"), "no-rotation"},
		"an interval":     {consumer("generate: {secretName: s, rotation: {interval: null}}"), "invalid"},
		"an overlap":      {consumer("generate: {secretName: s, rotation: {interval: 3m, overlap: null}}"), "short-overlap"},
		"routes":          {service(`upstream: {url: "https://a.example.com"}, routes: null, ` + strict), "no-routes"},
		"protocols":       {service(strings.Replace(upstream, "[https]", "null", 1) + ", " + strict), "default-http"},
		"claimsToVerify":  {service(upstream + ", " + strings.Replace(strict, "[exp]", "null", 1)), "no-expiry"},
		"access.from":     {strings.Replace(fine, "{groups: [g]}", "{groups: [g], from: null}", 1), ""},
		"jwt.anonymous":   {strings.Replace(fine, "[exp]", "[exp], anonymous: null", 1), ""},
		"credentials":     {head + "kind: JwtConsumer\nspec: {credentials: null}\n", ""},
		"spec":            {head + "kind: JwtProtectedService\nspec: null\n", "invalid"},
		"a route":         {strings.Replace(fine, "[{name: r", "[null, {name: r", 1), "invalid"},
		"a policy's list": {gateway(goodGateway + ", adoption: null"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := findings(t, c.manifest)
			if _, is := found[c.rule]; c.rule != "" && !is || c.rule == "" && len(found) > 0 {
				t.Errorf("found %v, want %q", found, c.rule)
			}
		})
	}
}

// What a version does not take is said as the operator would say it, and nothing where no version is named.
func TestKongVersions(t *testing.T) {
	realm := service(upstream + ", " + strings.Replace(strict, "[exp]", "[exp], realm: shop", 1))
	base64 := service(upstream + ", " + strings.Replace(strict, "[exp]", "[exp], secretIsBase64: true", 1))
	for _, c := range []struct{ what, manifest, version, message string }{
		{"an option", realm, "3.7", "spec.jwt.realm: realm needs Kong 3.8"},
		{"an option that it has", realm, "3.8.1", ""},
		{"public keys in base64", base64, "3.8", "spec.jwt.secretIsBase64: Kong 3.8 decodes public keys too"},
		{"public keys as text", base64, "3.9", ""},
		{"any Kong", realm, "", ""},
	} {
		s := clitest.New(t)
		s.In.WriteString(c.manifest)
		err := s.Run(t, lint.Command, "-f", "-", "--kong-version", c.version)
		if errors.Is(err, env.ErrNegative) != (c.message != "") || !strings.Contains(s.Out.String(), c.message) {
			t.Errorf("%s: %v\n%s", c.what, err, s.Out)
		}
	}
	s := clitest.New(t)
	if err := s.Run(t, lint.Command, "-f", "-", "--kong-version", "new"); err == nil || !strings.Contains(err.Error(), "--kong-version: ") {
		t.Errorf("no version: %v", err)
	}
}

func TestEveryRuleIsTestedAndListed(t *testing.T) {
	s := clitest.New(t)
	if err := s.Run(t, lint.Command, "--list-rules"); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(s.Out.String()), "\n")[1:]
	if len(lines) != len(broken) {
		t.Errorf("%d rules are listed and %d are tested", len(lines), len(broken))
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		if broken[fields[0]].severity != fields[1] || len(fields) < 4 {
			t.Errorf("%q", line)
		}
	}
}

func TestGoodManifestsHaveNoFindings(t *testing.T) {
	for _, manifest := range []string{
		service(upstream + ", " + strict), gateway(goodGateway), consumer("generate: {secretName: s, rotation: {interval: 720h}}"),
		head + "kind: JwtToken\nspec: {consumerRef: {name: c, credential: p}, secretName: s}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: x}\n", "", "---\n# nothing\n---\n",
	} {
		if found := findings(t, manifest); len(found) != 0 {
			t.Errorf("%v in\n%s", found, manifest)
		}
	}
}

// The keys of two consumers verify tokens alike where one of them has a key set: the finding names both.
func TestAnIssuerThatIsNotBoundToItsKeys(t *testing.T) {
	headers := strings.Replace(byKid, "issuers: [i]", "headers: [{claim: sub, header: X-Token-Subject}]", 1)
	for name, c := range map[string]struct{ manifests, says string }{
		"another consumer":    {service(byKid) + "---\n" + following + "---\n" + strings.Replace(someone, "{name: a}", "{name: b}", 1), "spec.claims.issuers: "},
		"headers of claims":   {service(headers) + "---\n" + following + "---\n" + strings.Replace(someone, "{name: a}", "{name: b}", 1), "spec.claims.headers: "},
		"the issuer alone":    {service(byKid) + "---\n" + following, ""},
		"no issuer":           {service(byKid) + "---\n" + someone + "---\n" + strings.Replace(someone, "{name: a}", "{name: b}", 1), ""},
		"a stranger":          {service(byKid) + "---\n" + following + "---\n" + strings.Replace(someone, "[g]", "[h]", 1), ""},
		"by iss":              {service(strings.Replace(byKid, "kid", "iss", 1)) + "---\n" + following + "---\n" + someone, ""},
		"an audience alone":   {service(strings.Replace(byKid, "issuers: [i], ", "", 1)) + "---\n" + following + "---\n" + someone, ""},
		"one of another Kong": {service(byKid) + "---\n" + following + "---\n" + strings.Replace(someone, "{groups", "{gatewayRef: {name: k}, groups", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := clitest.New(t)
			s.In.WriteString(c.manifests)
			err := s.Run(t, lint.Command, "-f", "-", "--level", "warning")
			if err != nil && !errors.Is(err, env.ErrNegative) {
				t.Fatal(err)
			}
			out := s.Out.String()
			if strings.Contains(out, "issuer-not-bound") != (c.says != "") {
				t.Fatalf("found %s", out)
			}
			for _, text := range []string{"JwtConsumer a (", "JwtConsumer b ("} {
				if c.says != "" && (!strings.Contains(out, c.says) || !strings.Contains(out, text)) {
					t.Errorf("%s does not say %q and %q", out, c.says, text)
				}
			}
		})
	}
}

func TestSecretsAreNotQuoted(t *testing.T) {
	s := clitest.New(t)
	s.In.WriteString(broken["secret-in-config"].manifest)
	if err := s.Run(t, lint.Command, "-f", "-"); !errors.Is(err, env.ErrNegative) || strings.Contains(s.Out.String(), "canary-value") || !strings.Contains(s.Out.String(), "config.headers[0].apiToken") {
		t.Errorf("%v\n%s", err, s.Out.String())
	}
}

func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		rule, failOn string
		fails        bool
	}{
		{"no-access", "info", true}, {"no-access", "warning", false}, {"no-expiry", "warning", true}, {"no-expiry", "error", false}, {"invalid", "error", true},
	} {
		s := clitest.New(t)
		s.In.WriteString(broken[c.rule].manifest)
		if err := s.Run(t, lint.Command, "-f", "-", "--fail-on", c.failOn); errors.Is(err, env.ErrNegative) != c.fails {
			t.Errorf("%s with --fail-on %s: %v", c.rule, c.failOn, err)
		}
	}
	if found := findings(t, broken["no-access"].manifest, "--level", "warning"); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range [][]string{
		{}, {"-f", "-", "--level", "bad"}, {"-f", "-", "--fail-on", "bad"}, {"-f", "-", "--disable", "no-such-rule"}, {"-f", "-", "--disable", "invalid"}, {"-f", "/no/such/file"},
	} {
		if err := clitest.New(t).Run(t, lint.Command, args...); err == nil || errors.Is(err, env.ErrNegative) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestOtherVersionsAndKindsAreErrors(t *testing.T) {
	for _, manifest := range []string{
		"apiVersion: kongjwt.dev/v1\nkind: JwtConsumer\nmetadata: {name: a}\n", "apiVersion: kongjwt.dev/v1alpha1\nkind: JwtConsumers\nmetadata: {name: a}\n",
	} {
		if found := findings(t, manifest); found["invalid"] != "error" {
			t.Errorf("%v in\n%s", found, manifest)
		}
	}
}

func TestDirectoriesAndLists(t *testing.T) {
	directory := t.TempDir()
	for name, content := range map[string]string{
		"a.yaml": broken["no-access"].manifest + "---\n" + broken["no-expiry"].manifest, "below/b.json": `{"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "kongjwt.dev/v1alpha1", "kind": "KongGateway", "metadata": {"name": "g"}, "spec": {"adminAPI": {"url": "http://a.example.com"}}}]}`,
		".hidden.yaml": "kind: [", "README.md": "kind: [",
	} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := clitest.New(t)
	if err := s.Run(t, lint.Command, "-f", directory); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	for _, expected := range []string{"a.yaml: JwtProtectedService a", "b.json: KongGateway g", "no-access", "no-expiry", "gateway-clear-text", "3 resources: 0 errors, 2 warnings, 3 infos"} {
		if !strings.Contains(s.Out.String(), expected) {
			t.Errorf("%q is not in\n%s", expected, s.Out.String())
		}
	}
}

// TestOneRunFindsAll: a duration that Go cannot read, an unknown field and a document that is none keep nothing from
// being looked at.
func TestOneRunFindsAll(t *testing.T) {
	manifests := consumer("generate: {secretName: s, rotation: {interval: 30d}}") + "---\nkind: [\n---\n" + broken["no-expiry"].manifest +
		"---\n" + broken["invalid"].manifest
	s := clitest.New(t)
	s.In.WriteString(manifests)
	if err := s.Run(t, lint.Command, "-f", "-"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	for _, expected := range []string{
		"invalid: spec.credentials[0].generate.rotation.interval: must be", "invalid: it is no YAML", "no-expiry", "invalid: spec.ratelimit: there is no such field",
	} {
		if !strings.Contains(s.Out.String(), expected) {
			t.Errorf("%q is not in\n%s", expected, s.Out)
		}
	}
}

// TestPipelines: what GitHub and code scanning read, with the line of the field.
func TestPipelines(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a%b.yaml")
	content := "# one\n---\n# two\napiVersion: kongjwt.dev/v1alpha1\nkind: JwtConsumer\nmetadata:\n  name: a\nspec:\n  credentials:\n" +
		"  - name: c\n    generate:\n      secretName: s\n      rotation: {interval: 30d}\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	s := clitest.New(t)
	if err := s.Run(t, lint.Command, "-f", file, "-o", "github"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	begin := "::error file=" + strings.Replace(file, "%", "%25", 1) + ",line=13,title=invalid::JwtConsumer a: spec.credentials[0].generate.rotation.interval: "
	if !strings.HasPrefix(s.Out.String(), begin) {
		t.Errorf("%s does not begin with %s", s.Out, begin)
	}
	if err := s.Run(t, lint.Command, "-f", file, "-o", "sarif"); !errors.Is(err, env.ErrNegative) {
		t.Fatal(err)
	}
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID, Level string
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(s.Out.Bytes(), &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Results) != 1 {
		t.Fatalf("%v\n%s", err, s.Out)
	}
	result := log.Runs[0].Results[0]
	where := result.Locations[0].PhysicalLocation
	if result.RuleID != "invalid" || result.Level != "error" || where.ArtifactLocation.URI != file || where.Region.StartLine != 13 {
		t.Errorf("%+v", result)
	}
	if rules := log.Runs[0].Tool.Driver.Rules; len(rules) != len(broken) {
		t.Errorf("%d rules are described, there are %d", len(rules), len(broken))
	}
}
