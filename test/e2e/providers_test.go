package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
	"github.com/kongjwt/kong-jwt-operator/test/testenv"
)

// provider is an identity provider, as a page of docs/how-to has it.
type provider struct {
	// page of docs/how-to, whose sample is applied.
	page string
	// host is the issuer's scheme and host on the page, and path what follows in iss.
	host, path string
	// discovery and keys are where it has its documents, and kid what its keys are called like.
	discovery, keys, kid string
	// bareKeys says that its keys name no algorithm.
	bareKeys bool
	// token is what its tokens say beside iss and exp, and forged by what claims one is another's. 401 and 403 are
	// the answers.
	token  claims
	forged map[int]claims
}

// The documents and claims are in the form that each provider's documentation has.
var providers = []provider{
	{
		page: "keycloak", host: "https://login.example.com", path: "/realms/shop", kid: "FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE",
		discovery: "/realms/shop/.well-known/openid-configuration", keys: "/realms/shop/protocol/openid-connect/certs",
		token: claims{
			"aud": []string{"orders", "account"}, "azp": "shop-web", "typ": "Bearer", "preferred_username": "ada", "scope": "openid profile",
			"realm_access":    map[string]any{"roles": []string{"offline_access", "clerk"}},
			"resource_access": map[string]any{"account": map[string]any{"roles": []string{"view-profile"}}},
		},
		forged: map[int]claims{401: {"aud": "account"}, 403: {"realm_access": map[string]any{"roles": []string{"offline_access"}}}},
	},
	{
		page: "auth0", host: "https://example.eu.auth0.com", path: "/", kid: "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg",
		discovery: "/.well-known/openid-configuration", keys: "/.well-known/jwks.json",
		token: claims{
			"aud": []string{"https://orders.example.com", "https://example.eu.auth0.com/userinfo"}, "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
			"scope": "openid orders:read", "permissions": []string{"orders:read"}, "https://orders.example.com/roles": []string{"clerk"},
		},
		forged: map[int]claims{401: {"aud": "https://example.eu.auth0.com/api/v2/"}, 403: {"scope": "openid"}},
	},
	{
		page: "entra-id", host: "https://login.microsoftonline.com", path: "/11111111-2222-3333-4444-555555555555/v2.0",
		discovery: "/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration",
		keys:      "/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys", kid: "nOo3ZDrODXEK1jKWhXslHR_KXEg", bareKeys: true,
		token: claims{
			"aud": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "tid": "11111111-2222-3333-4444-555555555555", "ver": "2.0",
			"azp": "99999999-8888-7777-6666-555555555555", "oid": "00000000-0000-0000-66f3-3332eca7ea81", "roles": []string{"Orders.Read"},
		},
		forged: map[int]claims{
			401: {"iss": "https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0"}, 403: {"roles": nil, "scp": "Orders.Read"},
		},
	},
	{
		page: "cognito", host: "https://cognito-idp.eu-west-1.amazonaws.com", path: "/eu-west-1_Ab1Cd2Ef3", kid: "1234example/+=",
		discovery: "/eu-west-1_Ab1Cd2Ef3/.well-known/openid-configuration", keys: "/eu-west-1_Ab1Cd2Ef3/.well-known/jwks.json",
		token: claims{
			"token_use": "access", "client_id": "1h57kf5cpq17m0eml12EXAMPLE", "scope": "openid orders.example.com/read",
			"cognito:groups": []string{"clerks"}, "username": "ada", "version": 2,
		},
		forged: map[int]claims{401: {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other"}, 403: {"token_use": "id"}},
	},
	{
		page: "github-actions", host: "https://token.actions.githubusercontent.com", kid: "cc413527-173f-5a05-976e-9c52b1d7b431",
		discovery: "/.well-known/openid-configuration", keys: "/.well-known/jwks",
		token: claims{
			"aud": "https://orders.example.com", "repository": "octo-org/orders", "repository_id": "74", "repository_owner": "octo-org",
			"ref": "refs/heads/main", "ref_type": "branch", "event_name": "push", "actor": "octocat", "environment": "prod",
			"job_workflow_ref": "octo-org/orders/.github/workflows/deploy.yml@refs/heads/main", "runner_environment": "github-hosted",
		},
		forged: map[int]claims{401: {"aud": "https://github.com/octo-org"}, 403: {"repository_id": "75"}},
	},
}

// sampleOf gives what a page's first sample has: a consumer and a service that lets it in. Words of the page are
// replaced.
func sampleOf(page string, replace ...string) (*v1alpha1.JwtConsumer, *v1alpha1.JwtProtectedService) {
	GinkgoHelper()
	root, err := testenv.RepositoryRoot()
	Expect(err).NotTo(HaveOccurred())
	text, err := os.ReadFile(filepath.Join(root, "docs", "how-to", page+".md"))
	Expect(err).NotTo(HaveOccurred())
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	Expect(found).To(BeTrue(), "%s has a sample", page)
	sample, _, _ := strings.Cut(rest, "```")
	documents := strings.Split(strings.NewReplacer(replace...).Replace(sample), "---\n")
	Expect(documents).To(HaveLen(2), "a consumer and a service")
	consumer, service := &v1alpha1.JwtConsumer{}, &v1alpha1.JwtProtectedService{}
	Expect(yaml.UnmarshalStrict([]byte(documents[0]), consumer)).To(Succeed())
	Expect(yaml.UnmarshalStrict([]byte(documents[1]), service)).To(Succeed())
	return consumer, service
}

// start has an issuer of the test's own answer as the provider does.
func (p provider) start() *issuer.Issuer {
	GinkgoHelper()
	running := issuer.Start()
	DeferCleanup(running.Close)
	Expect(running.Add(p.kid, "RS256")).To(Succeed())
	running.PutSet(p.keys)
	document, err := json.Marshal(map[string]any{
		"issuer": running.Base() + p.path, "jwks_uri": running.Base() + p.keys, "token_endpoint": running.Base() + "/token",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public"},
	})
	Expect(err).NotTo(HaveOccurred())
	running.Serve(p.discovery, string(document))
	if p.bareKeys {
		published, err := running.Set()
		Expect(err).NotTo(HaveOccurred())
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		Expect(json.Unmarshal(published, &set)).To(Succeed())
		delete(set.Keys[0], "alg")
		bare, err := json.Marshal(set)
		Expect(err).NotTo(HaveOccurred())
		running.Serve(p.keys, string(bare))
	}
	return running
}

var _ = Describe("A page on an identity provider", Ordered, func() {
	var own *v1alpha1.KongGateway

	BeforeAll(func(ctx SpecContext) {
		own = newGateway(named("providers"))
		// The issuers are on this machine.
		own.Spec.Policy.JWKS = &v1alpha1.JWKSPolicy{AllowPrivateAddresses: true}
		create(ctx, own)
		DeferCleanup(func() {
			ctx, cancel := background()
			defer cancel()
			remove(ctx, own)
		})
		awaitReady(ctx, own)
	})

	// apply creates a sample on this run's gateway, before its upstream.
	apply := func(ctx SpecContext, namespace string, consumer *v1alpha1.JwtConsumer, service *v1alpha1.JwtProtectedService) call {
		GinkgoHelper()
		for _, o := range []client.Object{consumer, service} {
			o.SetNamespace(namespace)
		}
		consumer.Spec.GatewayRef.Name, service.Spec.GatewayRef.Name = own.Name, own.Name
		consumer.Spec.Username = named(namespace)
		plain := newService(namespace, service.Name)
		service.Spec.Upstream, service.Spec.Routes = plain.Spec.Upstream, plain.Spec.Routes
		create(ctx, consumer, service)
		awaitReady(ctx, consumer, service)
		return at(pathOfService(namespace, service.Name))
	}

	for _, p := range providers {
		It("has a sample that works: "+p.page, func(ctx SpecContext) {
			running := p.start()
			namespace := newNamespace(ctx, p.page)
			consumer, service := sampleOf(p.page, p.host, running.Base())
			consumer.Spec.Credentials[0].JWKS.CASecretRef = &v1alpha1.LocalSecretKeyReference{Name: "idp-ca", Key: "ca.crt"}
			create(ctx, newSecret(namespace, "idp-ca", map[string]string{"ca.crt": running.CA()}))
			to := apply(ctx, namespace, consumer, service)
			token := func(changes claims) string {
				said := claims{"iss": running.Base() + p.path, "sub": "ada", "exp": time.Now().Add(time.Minute).Unix()}
				maps.Copy(said, p.token)
				maps.Copy(said, changes)
				maps.DeleteFunc(said, func(_ string, value any) bool { return value == nil })
				text, err := running.Sign(p.kid, said)
				Expect(err).NotTo(HaveOccurred())
				return text
			}
			expectPassed(ctx, to.with(token(nil)))
			expectRefused(ctx, to.with(token(claims{"exp": time.Now().Add(-time.Minute).Unix()})), http.StatusUnauthorized, "token expired")
			for status, change := range p.forged {
				expectRefused(ctx, to.with(token(change)), status, map[int]string{401: "Unauthorized", 403: "Forbidden"}[status])
			}
		})
	}

	It("has a sample that works: kubernetes-service-accounts", func(ctx SpecContext) {
		namespace := newNamespace(ctx, "workloads")
		consumer, service := sampleOf("kubernetes-service-accounts", "serviceaccount:orders:", "serviceaccount:"+namespace+":")
		to := apply(ctx, namespace, consumer, service)
		// The kubelet asks the API server in the same way for a token that it puts into a pod.
		projected := func(account, audience string) string {
			owner := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
			Expect(client.IgnoreAlreadyExists(env.Client.Create(ctx, owner))).To(Succeed())
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
			Expect(env.Client.SubResource("token").Create(ctx, owner, request)).To(Succeed())
			return request.Status.Token
		}
		expectPassed(ctx, to.with(projected("checkout", "orders")),
			HaveKeyWithValue("X-Token-Subject", "system:serviceaccount:"+namespace+":checkout"))
		expectRefused(ctx, to.with(projected("checkout", "https://kubernetes.default.svc")), http.StatusUnauthorized, "Unauthorized")
		expectRefused(ctx, to.with(projected("other", "orders")), http.StatusForbidden, "Forbidden")
	})
})
