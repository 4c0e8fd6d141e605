package e2e

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

var _ = Describe("kubectl kongjwt graph", func() {
	It("says who may call what, in words and in pictures, and Kong agrees", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "graph")
		buyers := named("buyers")
		orders := newService(namespace, "orders", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Access = &v1alpha1.Access{Groups: []string{buyers}, Consumers: []v1alpha1.ConsumerReference{{Name: "named"}}}
		})
		caller := func(name string, groups ...string) *v1alpha1.JwtConsumer {
			return newConsumer(namespace, name, func(s *v1alpha1.JwtConsumerSpec) {
				s.Groups, s.Credentials = groups, []v1alpha1.Credential{generated("made", "HS256", name)}
			})
		}
		buyer, byName, idle := caller("buyer", buyers), caller("named"), caller("idle")
		create(ctx, orders, buyer, byName, idle)
		awaitReady(ctx, orders, buyer, byName, idle)

		path := pathOfService(namespace, "orders")
		out, code := kongjwt(ctx, "", "graph", "-n", namespace)
		Expect(code).To(BeZero())
		Expect(out).To(Equal("gateway " + gateway.Name + "\n" +
			"  service " + namespace + "/orders\n" +
			"    at    " + path + "\n" +
			"    from  group " + buyers + ": " + namespace + "/buyer\n" +
			"    from  consumer " + namespace + "/named\n" +
			"  may call nothing: " + namespace + "/idle\n"))
		for name, allowed := range map[string]bool{"buyer": true, "named": true, "idle": false} {
			token, _ := kongjwt(ctx, "", "token", "create", name, "-n", namespace)
			if c := at(path).with(strings.TrimSpace(token)); allowed {
				expectPassed(ctx, c)
			} else {
				expectRefused(ctx, c, 403, "You cannot consume this service")
			}
		}

		for format, begin := range map[string]string{"mermaid": "flowchart LR\n", "dot": "digraph kongjwt {\n", "yaml": "apiVersion: cli.kongjwt.dev/v1alpha1\n"} {
			out, code = kongjwt(ctx, "", "graph", "-n", namespace, "-o", format, "--consumer", "buyer")
			Expect(code).To(BeZero())
			Expect(out).To(And(HavePrefix(begin), ContainSubstring(namespace+"/buyer"), ContainSubstring(namespace+"/orders")))
			Expect(out).NotTo(ContainSubstring(namespace + "/idle"))
		}
	})
})

var _ = Describe("kubectl kongjwt lint", func() {
	const manifest = `
apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {name: orders}
spec:
  attachTo: {serviceName: theirs}
  jwt: {claimsToVerify: [%]}
`
	It("needs no cluster, and fails a pipeline where a manifest deserves a second look", func(ctx SpecContext) {
		nowhere := []string{"lint", "-f", "-", "--server", "http://127.0.0.1:1"}
		out, code := kongjwt(ctx, strings.Replace(manifest, "%", "nbf", 1), nowhere...)
		Expect(code).To(Equal(1))
		Expect(out).To(MatchRegexp(`stdin: JwtProtectedService orders\n  warning  no-expiry: `))
		out, code = kongjwt(ctx, strings.Replace(manifest, "%", "exp", 1), append(nowhere, "--level", "warning")...)
		Expect(code).To(BeZero())
		Expect(out).To(Equal("1 resources: 0 errors, 0 warnings, 0 infos\n"))
	})

	It("finds nothing that fails in the samples", func(ctx SpecContext) {
		out, code := kongjwt(ctx, "", "lint", "-f", filepath.Join("..", "..", "config", "samples"), "--fail-on", "error")
		Expect(code).To(BeZero(), out)
	})
})

var _ = Describe("kubectl kongjwt bundle", func() {
	const (
		canary = "canary-0123456789-of-a-secret-that-is-long-enough"
		// unwise is in a spec, where no secret should be: it is left out all the same.
		unwise = "canary-0123456789-of-a-token-in-plain-text"
	)

	It("has what support asks for, and no secret in it", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "bundle")
		orders := newService(namespace, "orders", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", Config: raw(map[string]any{"http_endpoint": "http://log.example.com", "headers": map[string]any{"x-token": unwise}}),
			}}}
		})
		caller := newConsumer(namespace, "caller", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{
				referenced("theirs", "HS256", named("bundled"), "theirs"), generated("made", "HS256", "made"), generated("pair", "ES256", "pair"),
			}
		})
		token := newToken(namespace, "caller", "made")
		lacking := newConsumer(namespace, "lacking", func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", "HS256", named("lacking-bundled"), "not-there")}
		})
		create(ctx, newSecret(namespace, "theirs", map[string]string{"secret": canary}), orders, caller, token, lacking)
		awaitReady(ctx, caller, token, orders)
		awaitReason(ctx, lacking, v1alpha1.ReasonSecretNotFound)
		secrets := map[string]string{"the canary": canary, "the token in a spec": unwise}
		for _, name := range []string{"made", "pair", token.Spec.SecretName, "caller-kongjwt-state"} {
			for key, value := range readSecret(ctx, namespace, name).Data {
				if key != "key" && key != "algorithm" && key != "public.pem" {
					secrets[name+"/"+key] = string(value)
				}
			}
		}
		Expect(len(secrets)).To(BeNumerically(">=", 7))

		file := filepath.Join(GinkgoT().TempDir(), "bundle.tar.gz")
		run := runPlugin(ctx, "", "bundle", "-n", namespace, "-f", file)
		Expect(run.code).To(BeZero(), run.stderr)
		files := unpacked(file)
		files["what it says"] = run.stdout + run.stderr
		Expect(files).To(HaveKeyWithValue("resources/jwtconsumer/"+namespace+"_caller.yaml", And(ContainSubstring("secretName: made"), ContainSubstring("type: Ready"))))
		Expect(files).To(HaveKeyWithValue("resources/konggateway/"+gateway.Name+".yaml", ContainSubstring("kongVersion:")))
		Expect(files).To(HaveKeyWithValue("events.yaml", ContainSubstring("JwtConsumer "+namespace+"/lacking")))
		Expect(files).To(HaveKeyWithValue("secrets.yaml", And(ContainSubstring("name: theirs"), ContainSubstring("not-there"))))
		Expect(files).To(HaveKeyWithValue("versions.yaml", ContainSubstring("kubernetes: v1.")))
		for name, content := range files {
			for what, value := range secrets {
				for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value))} {
					Expect(strings.Contains(content, form)).To(BeFalse(), "%s holds %s", name, what)
				}
			}
		}
	})
})

// unpacked are the files of an archive, without the folder that they are in.
func unpacked(file string) map[string]string {
	GinkgoHelper()
	packed, err := os.Open(file)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = packed.Close() }()
	plain, err := gzip.NewReader(packed)
	Expect(err).NotTo(HaveOccurred())
	files := map[string]string{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		Expect(err).NotTo(HaveOccurred())
		content, err := io.ReadAll(archive)
		Expect(err).NotTo(HaveOccurred())
		_, name, _ := strings.Cut(header.Name, "/")
		files[name] = string(content)
	}
}
