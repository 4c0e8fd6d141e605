package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/issuer"
)

// staff are whoever the identity provider signs tokens for; reports takes those that are for it.
const staff = `apiVersion: v1
kind: Secret
metadata: {namespace: tutorial, name: login-ca}
stringData: {ca.crt: AUTHORITY}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {namespace: tutorial, name: staff}
spec:
  credentials:
    - name: login
      jwks: {issuer: "ISSUER", caSecretRef: {name: login-ca, key: ca.crt}}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {namespace: tutorial, name: reports}
spec:
  upstream: {url: http://127.0.0.1:9000}
  routes:
    - {name: reports, paths: [/reports], protocols: [http]}
  jwt: {keyClaimName: kid, claimsToVerify: [exp]}
  access: {consumers: [{name: staff}]}
  claims:
    audiences: [reports]
`

// loginKey is the key that the identity provider signs with.
const loginKey = "login-1"

// otherAudience is what Kong answers to a token that was issued for another service.
const otherAudience = "401 Unauthorized"

// identityProvider plays the last chapter: an identity provider signs tokens for many services, and each takes its
// own. What it adds is gone when it ends, and the provider with it.
func (t *tutorial) identityProvider(ctx context.Context) error {
	t.screen.section("Staff call reports (ES256, keys and tokens of an identity provider)")
	provider := issuer.Start()
	defer provider.Close()
	if err := provider.Add(loginKey, "ES256"); err != nil {
		return err
	}
	provider.Serve("/.well-known/openid-configuration", fmt.Sprintf(`{"issuer": %q, "jwks_uri": %q}`, provider.Base(), provider.URL()))
	// The provider is on this machine, which a gateway does not permit by itself.
	if err := t.patchGateway(ctx, `{"spec": {"policy": {"jwks": {"allowPrivateAddresses": true}}}}`); err != nil {
		return err
	}
	authority, err := json.Marshal(provider.CA())
	if err != nil {
		return err
	}
	tutorials := len(t.objects)
	manifests := strings.NewReplacer("AUTHORITY", string(authority), "ISSUER", provider.Base()).Replace(staff)
	if err := errors.Join(t.applyAll(ctx, []byte(manifests)), t.awaitReady(ctx)); err != nil {
		return err
	}
	if err := t.table(ctx, []request{
		{name: "token for reports", path: "/reports", token: login(provider, "reports"), expected: passed},
		{name: "token for another service", path: "/reports", token: login(provider, "payroll"), expected: otherAudience},
	}); err != nil {
		return err
	}
	if err := t.remove(ctx, t.objects[tutorials:]); err != nil {
		return err
	}
	t.objects = t.objects[:tutorials]
	return t.patchGateway(ctx, `{"spec": {"policy": {"jwks": null}}}`)
}

// login signs a token for a service, as the provider does when somebody logs in there.
func login(provider *issuer.Issuer, audience string) string {
	token, err := provider.Sign(loginKey, map[string]any{
		"iss": provider.Base(), "sub": "alice", "aud": audience, "exp": time.Now().Add(time.Hour).Unix(),
	})
	if err != nil {
		return "" // the table shows that it is refused
	}
	return token
}

func (t *tutorial) patchGateway(ctx context.Context, patch string) error {
	gateway := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	return t.stack.Client.Patch(ctx, gateway, client.RawPatch(types.MergePatchType, []byte(patch)))
}
