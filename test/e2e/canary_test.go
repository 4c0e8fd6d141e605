package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/test/canary"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// Whatever specs run, what their Secrets held is nowhere else when they end: in no line that an operator logged, in
// no state of any object of the cluster, events and statuses among them, and in no metric. The first process watches
// from the start on.
var (
	canaries = canary.New()
	watched  *canary.Watch
	// heard is the folder with all that is searched.
	heard string
)

const objectsFile = "objects.jsonl"

// What is served changes; the first process, which started the operator, looks after each of its specs.
var _ = JustAfterEach(func() {
	if operator != nil {
		_ = operator.KeepMetrics() // a spec may have killed it
	}
})

func watchForCanaries(living context.Context, dir string) {
	GinkgoHelper()
	heard = dir
	var err error
	watched, err = canary.Start(living, env.Config, canaries, filepath.Join(dir, objectsFile))
	Expect(err).NotTo(HaveOccurred())
}

// expectNoCanary ends the watch and the operator, and searches all that was said.
func expectNoCanary(ctx context.Context) {
	GinkgoHelper()
	if watched == nil || operator == nil {
		return // nothing began
	}
	learnProbeRoutes(ctx)
	account, err := clientcmd.LoadFromFile(filepath.Join(heard, stack.OperatorKubeconfig))
	Expect(err).NotTo(HaveOccurred())
	for _, user := range account.AuthInfos {
		canaries.Add("the operator's own token", user.Token)
	}
	Expect(operator.Stop()).To(Succeed())
	Expect(watched.Stop()).To(Succeed())
	var leaks []string
	for name, known := range map[string]string{
		"operator.log": `"level":"debug"`, objectsFile: `^\["KongGateway"`, stack.MetricsFile: `^kongjwt_admin_api_requests_total{`,
	} {
		Expect(linesOf(name, known)).NotTo(BeEmpty(), "%s is what it is thought to be", name)
		file, err := os.Open(filepath.Join(heard, name))
		Expect(err).NotTo(HaveOccurred())
		found, err := canaries.Search(name, file)
		Expect(err).NotTo(HaveOccurred())
		Expect(file.Close()).To(Succeed())
		for _, leak := range found {
			leaks = append(leaks, leak.String())
		}
	}
	Expect(leaks[:min(len(leaks), 50)]).To(BeEmpty(), "%d secrets were looked for; these got out", canaries.Len())
	Expect(linesOf("operator.log", `User [^ ]+ cannot `)).To(BeEmpty(), "the rights that an installation gives are enough")
	Expect(canaries.Astray()).To(BeEmpty(), "namespaces that got the same material of the operator's")
}

// linesOf gives the first lines of a file of this run's that match, cut short. Files are long: they are read line by
// line.
func linesOf(name, pattern string) []string {
	GinkgoHelper()
	const few, short = 3, 500
	file, err := os.Open(filepath.Join(heard, name))
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = file.Close() }()
	matches, lines := regexp.MustCompile(pattern), bufio.NewReader(file)
	var found []string
	for len(found) < few {
		line, err := lines.ReadString('\n')
		if matches.MatchString(line) {
			found = append(found, line[:min(len(line), short)])
		}
		if errors.Is(err, io.EOF) {
			break
		}
		Expect(err).NotTo(HaveOccurred())
	}
	return found
}

// learnProbeRoutes adds what is derived from the seed: who knows it gets answers of data planes that are nobody
// else's.
func learnProbeRoutes(ctx context.Context) {
	GinkgoHelper()
	var seed corev1.Secret
	err := env.Client.Get(ctx, client.ObjectKey{Namespace: stack.OperatorNamespace, Name: "kong-jwt-operator-probe"}, &seed)
	if client.IgnoreNotFound(err) == nil && err != nil {
		return // no gateway had data planes to ask
	}
	Expect(err).NotTo(HaveOccurred())
	var system corev1.Namespace
	Expect(env.Client.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &system)).To(Succeed())
	for _, name := range watched.Names(v1alpha1.KindKongGateway) {
		route := desired.NewProbeRoute(desired.Scope{Installation: string(system.UID), Gateway: name}, seed.Data["seed"])
		canaries.Add("the proof of the probe route of "+name, route.Proof)
		if inIngresses[name] {
			continue
		}
		// The domain is no secret: it is reserved, and specs name it.
		label, _, _ := strings.Cut(route.Host, ".")
		canaries.Add("the host of the probe route of "+name, label)
		canaries.Add("the path of the probe route of "+name, route.Path)
		canaries.Add("the path of the claims probe route of "+name, route.ClaimsPath)
		canaries.Add("the header of the probe route of "+name, route.Value)
	}
}

// decoy is a value that is this run's own. The end of the run looks for it where a Secret holds it.
func decoy(name string) string { return "canary-" + run + "-of-" + name + "-0f1e2d3c4b5a" }

var _ = Describe("Where something is wrong with a Secret", Ordered, func() {
	var namespace string
	BeforeAll(func(ctx SpecContext) { namespace = newNamespace(ctx, "canaries") })

	caller := func(name string, algorithm v1alpha1.Algorithm, change ...func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
		return newConsumer(namespace, name, append([]func(*v1alpha1.JwtConsumerSpec){func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials = []v1alpha1.Credential{referenced("primary", algorithm, "", name)}
		}}, change...)...)
	}
	keyUnder := func(dataKey string) func(*v1alpha1.JwtConsumerSpec) {
		return func(s *v1alpha1.JwtConsumerSpec) {
			s.Credentials[0].SecretRef.DataKeys = &v1alpha1.CredentialDataKeys{Key: dataKey}
		}
	}
	logging := func(name string) *v1alpha1.JwtProtectedService {
		return newService(namespace, name, func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.Plugins = []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
				Name: "log", Plugin: "http-log", Config: raw(map[string]any{"http_endpoint": "https://log.e2e.example.com"}),
				ConfigFrom: []v1alpha1.ConfigSource{{SecretRef: v1alpha1.LocalSecretKeyReference{Name: name, Key: "config"}}},
			}}}
		})
	}

	DescribeTable("the resource says what, and not what is in it",
		func(ctx SpecContext, name string, content map[string]string, resource func(name string) client.Object, reason string) {
			create(ctx, newSecret(namespace, name, content), resource(name))
			awaitReason(ctx, resource(name), reason)
		},
		Entry("a public key that is none", "not-a-key", map[string]string{"public.pem": decoy("public-key")},
			func(name string) client.Object { return caller(name, "RS256") }, v1alpha1.ReasonSecretInvalid),
		Entry("a private key that is cut", "cut-key", map[string]string{
			"public.pem": decoy("cut-public-key"), "private.pem": "-----BEGIN PRIVATE KEY-----\n" + decoy("cut-private-key") + "\n",
		}, func(name string) client.Object { return caller(name, "ES256") }, v1alpha1.ReasonSecretInvalid),
		Entry("a vault reference", "vault", map[string]string{"secret": "{vault://env/" + decoy("vault") + "}"},
			func(name string) client.Object { return caller(name, "HS256") }, v1alpha1.ReasonSecretInvalid),
		Entry("a key with a line break", "broken-key", map[string]string{"secret": decoy("of-broken-key"), "password": decoy("broken-key") + "\n"},
			func(name string) client.Object { return caller(name, "HS256", keyUnder("password")) }, v1alpha1.ReasonSecretInvalid),
		Entry("a key that looks like a vault reference", "vault-key",
			map[string]string{"secret": decoy("of-vault-key"), "password": "{vault://env/" + decoy("vault-key") + "}"},
			func(name string) client.Object { return caller(name, "HS256", keyUnder("password")) }, v1alpha1.ReasonSecretInvalid),
		Entry("an authority of an issuer that is none", "no-authority", map[string]string{"authority": decoy("no-authority")},
			func(name string) client.Object {
				return caller(name, "RS256", func(s *v1alpha1.JwtConsumerSpec) {
					s.Credentials[0] = v1alpha1.Credential{Name: "primary", JWKS: &v1alpha1.JWKS{
						URL: "https://login.e2e.example.com/keys", CASecretRef: &v1alpha1.LocalSecretKeyReference{Name: name, Key: "authority"},
					}}
				})
			}, v1alpha1.ReasonSecretInvalid),
		Entry("a configuration of a consumer's plugin that is no object", "consumer-plugin", map[string]string{"config": decoy("consumer-plugin")},
			func(name string) client.Object {
				return caller(name, "HS256", func(s *v1alpha1.JwtConsumerSpec) {
					s.Credentials = nil
					s.Plugins = []v1alpha1.PluginSpec{{Name: "log", Plugin: "http-log", ConfigFrom: []v1alpha1.ConfigSource{
						{SecretRef: v1alpha1.LocalSecretKeyReference{Name: name, Key: "config"}},
					}}}
				})
			}, v1alpha1.ReasonSecretInvalid),
		Entry("a configuration that is no YAML", "no-yaml", map[string]string{"config": "headers: [" + decoy("no-yaml") + "\n\t: }"},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonSecretInvalid),
		Entry("a configuration that is no object", "no-object", map[string]string{"config": `"` + decoy("no-object") + `"`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonSecretInvalid),
		Entry("a value of the wrong type, which Kong refuses", "wrong-type", map[string]string{"config": `{"timeout": "` + decoy("wrong-type") + `"}`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonKongRejected),
		Entry("a value that is none of those that there are", "wrong-value", map[string]string{"config": `{"method": "` + decoy("wrong-value") + `"}`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonKongRejected),
		Entry("a URL that Kong cannot read", "wrong-url", map[string]string{"config": `{"http_endpoint": "` + decoy("wrong-url") + `"}`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonKongRejected),
		Entry("a URL of a host that is denied", "denied-url", map[string]string{"config": `{"http_endpoint": "http://169.254.169.254/` + decoy("denied-url") + `"}`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonPolicyViolation),
		Entry("Lua", "lua", map[string]string{"config": `{"custom_fields_by_lua": {"a": "return '` + decoy("lua") + `'"}}`},
			func(name string) client.Object { return logging(name) }, v1alpha1.ReasonPolicyViolation),
	)

	It("a conflict names the key, and no secret under it", func(ctx SpecContext) {
		pinned := func(name string) *v1alpha1.JwtConsumer {
			return caller(name, "HS256", func(s *v1alpha1.JwtConsumerSpec) { s.Credentials[0].Key = named("canaries-key") })
		}
		for _, name := range []string{"holder", "waiting"} {
			create(ctx, newSecret(namespace, name, map[string]string{"secret": decoy(name)}))
		}
		holder, waiting := pinned("holder"), pinned("waiting")
		create(ctx, holder)
		awaitReady(ctx, holder)
		create(ctx, waiting)
		awaitReason(ctx, waiting, v1alpha1.ReasonConflict, named("canaries-key"))
	})

	It("a conflict over a key that a Secret has does not show it", func(ctx SpecContext) {
		username := named("canary-holder")
		status, _, err := admin(ctx, http.MethodPut, "/consumers/"+username, entity{"custom_id": username})
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK))
		DeferCleanup(func(ctx context.Context) { _, _, _ = admin(ctx, http.MethodDelete, "/consumers/"+username, nil) })
		status, _, err = admin(ctx, http.MethodPost, "/consumers/"+username+"/jwt", entity{"key": decoy("taken-key")})
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusCreated))
		create(ctx, newSecret(namespace, "taken-key", map[string]string{"password": decoy("taken-key"), "secret": decoy("of-taken-key")}))
		waiting := caller("taken-key", "HS256", keyUnder("password"))
		create(ctx, waiting)
		// Before the holder: what Kong holds is shown.
		DeferCleanup(func(ctx context.Context) { remove(ctx, waiting) })
		awaitReason(ctx, waiting, v1alpha1.ReasonConflict, "the key that the Secret of credential primary has")
	})

	It("what somebody else changed in Kong is named by its field", func(ctx SpecContext) {
		// Kong's value is looked for as well.
		create(ctx, newSecret(namespace, "theirs", map[string]string{"password": decoy("theirs")}))
		service := newService(namespace, "limited", func(s *v1alpha1.JwtProtectedServiceSpec) {
			s.RateLimit = &v1alpha1.RateLimit{Minute: pointer[int32](60), Policy: "redis", Redis: "limits"}
		})
		create(ctx, service)
		awaitReady(ctx, service)
		password := func() any {
			plugin, err := pluginOf(ctx, service, "rate-limiting")
			Expect(err).NotTo(HaveOccurred())
			return plugin.at(redisOption("password"))
		}
		Expect(password()).To(Equal(decoy("redis")))
		plugin, err := pluginOf(ctx, service, "rate-limiting")
		Expect(err).NotTo(HaveOccurred())
		status, _, err := admin(ctx, http.MethodPatch, fmt.Sprintf("/plugins/%v", plugin["id"]), entity{"config": redisConfig("password", decoy("theirs"))})
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusOK))
		Eventually(password).WithContext(ctx).Should(Equal(decoy("redis")), "it is put back")
	})

	It("a gateway does not show its token, nor its client's key", func(ctx SpecContext) {
		tried := func(name string, data map[string]string, change func(*v1alpha1.AdminAPI, v1alpha1.SecretReference)) *v1alpha1.KongGateway {
			secret := newSecret(stack.OperatorNamespace, named(name), data)
			g := newGateway(named(name))
			change(&g.Spec.AdminAPI, v1alpha1.SecretReference{Namespace: secret.Namespace, Name: secret.Name})
			create(ctx, secret, g)
			DeferCleanup(func(ctx context.Context) { remove(ctx, g); remove(ctx, secret) })
			return g
		}
		authenticated := func(url string) func(*v1alpha1.AdminAPI, v1alpha1.SecretReference) {
			return func(a *v1alpha1.AdminAPI, ref v1alpha1.SecretReference) {
				if url != "" {
					a.URL = url
				}
				a.Auth = &v1alpha1.AdminAuth{SecretRef: v1alpha1.SecretKeyReference{SecretReference: ref, Key: "token"}}
			}
		}
		good := tried("canary-token", map[string]string{"token": decoy("admin-token")}, authenticated(""))
		away := tried("canary-away", map[string]string{"token": decoy("away-token")}, authenticated("http://127.0.0.1:1"))
		broken := tried("canary-broken", map[string]string{"token": decoy("broken-token") + "\nX-Other: 1"}, authenticated(""))
		certificate := tried("canary-certificate", map[string]string{"tls.crt": "none", "tls.key": decoy("tls-key")}, func(a *v1alpha1.AdminAPI, ref v1alpha1.SecretReference) {
			a.TLS = &v1alpha1.ClientTLS{ClientCertificateSecretRef: &ref}
		})
		authority := tried("canary-authority", map[string]string{"authority": decoy("authority")}, func(a *v1alpha1.AdminAPI, ref v1alpha1.SecretReference) {
			a.TLS = &v1alpha1.ClientTLS{CASecretRef: &v1alpha1.SecretKeyReference{SecretReference: ref, Key: "authority"}}
		})
		awaitNotReady(ctx, authority)
		awaitReady(ctx, good)
		awaitReason(ctx, away, v1alpha1.ReasonKongUnreachable)
		awaitNotReady(ctx, broken)
		awaitNotReady(ctx, certificate)
	})
})

var _ = Describe("Where something is wrong with a Secret for data planes", func() {
	DescribeTable("the gateway does not show it", func(ctx SpecContext, name string, data map[string]string, change func(*v1alpha1.ClientTLS, v1alpha1.SecretReference)) {
		secret := newSecret(stack.OperatorNamespace, named(name), data)
		g := newGateway(named(name))
		g.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}, TLS: &v1alpha1.ClientTLS{}}
		change(g.Spec.DataPlanes.TLS, v1alpha1.SecretReference{Namespace: secret.Namespace, Name: secret.Name})
		create(ctx, secret, g)
		DeferCleanup(func(ctx context.Context) { remove(ctx, g); remove(ctx, secret) })
		awaitNotReady(ctx, g)
	},
		Entry("an authority", "canary-planes-ca", map[string]string{"authority": decoy("planes-ca")}, func(t *v1alpha1.ClientTLS, ref v1alpha1.SecretReference) {
			t.CASecretRef = &v1alpha1.SecretKeyReference{SecretReference: ref, Key: "authority"}
		}),
		Entry("a client's key", "canary-planes-key", map[string]string{"tls.crt": "none", "tls.key": decoy("planes-key")}, func(t *v1alpha1.ClientTLS, ref v1alpha1.SecretReference) {
			t.ClientCertificateSecretRef = &ref
		}),
	)
})

var _ = Describe("Where something is wrong with a Secret of a proxy to issuers", func() {
	following := func(ctx SpecContext, name string, data map[string]string, url string, change func(*v1alpha1.EgressProxy, v1alpha1.SecretReference)) *v1alpha1.JwtConsumer {
		GinkgoHelper()
		secret := newSecret(stack.OperatorNamespace, named(name), data)
		g := newGateway(named(name))
		g.Spec.EgressProxy = &v1alpha1.EgressProxy{URL: url}
		change(g.Spec.EgressProxy, v1alpha1.SecretReference{Namespace: secret.Namespace, Name: secret.Name})
		create(ctx, secret, g)
		DeferCleanup(func(ctx context.Context) { remove(ctx, g); remove(ctx, secret) })
		c := newConsumer(newNamespace(ctx, name), "users", func(s *v1alpha1.JwtConsumerSpec) {
			s.GatewayRef.Name = g.Name
			s.Credentials = []v1alpha1.Credential{{Name: "idp", JWKS: &v1alpha1.JWKS{URL: "https://login.example.com/jwks"}}}
		})
		create(ctx, c)
		return c
	}

	It("an authority of a proxy that is none", func(ctx SpecContext) {
		c := following(ctx, "proxy-authority", map[string]string{"authority": decoy("proxy-authority")}, "https://proxy.e2e.example.com:3128",
			func(p *v1alpha1.EgressProxy, ref v1alpha1.SecretReference) {
				p.CASecretRef = &v1alpha1.SecretKeyReference{SecretReference: ref, Key: "authority"}
			})
		awaitReason(ctx, c, v1alpha1.ReasonGatewayNotReady, "spec.egressProxy.caSecretRef")
	})

	It("a proxy that refuses its credentials", func(ctx SpecContext) {
		provider := issuer.Start()
		DeferCleanup(provider.Close)
		proxy := issuer.StartProxy(provider, false)
		DeferCleanup(proxy.Close)
		proxy.Require("somebody", "else")
		c := following(ctx, "proxy-credentials", map[string]string{"username": "operator", "password": decoy("proxy-password")}, proxy.URL(),
			func(p *v1alpha1.EgressProxy, ref v1alpha1.SecretReference) { p.CredentialsSecretRef = &ref })
		awaitReason(ctx, c, v1alpha1.ReasonKeySetUnreachable, "the proxy answers 407")
	})
})

// awaitNotReady waits until a gateway says that it is not Ready, whyever.
func awaitNotReady(ctx SpecContext, g *v1alpha1.KongGateway) {
	GinkgoHelper()
	Eventually(func(gm Gomega) {
		gm.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(g), g)).To(Succeed())
		gm.Expect(g.Status.Conditions).To(ContainElement(And(HaveField("Type", v1alpha1.ConditionReady), HaveField("Status", metav1.ConditionFalse))), func() string { return describe(g) })
	}).WithContext(ctx).Should(Succeed())
}
