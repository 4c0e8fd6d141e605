package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// debugged is what the page on a 401 explains.
const debugged = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: kongjwt.dev/v1alpha1
kind: KongGateway
metadata: {name: main}
spec:
  adminAPI: {url: ADMIN}
  dataPlanes: {urls: [PROXY]}
  allowedNamespaces: {from: All}
  policy: {upstreams: {allow: [{cidrs: [127.0.0.1/32]}]}}
---
apiVersion: v1
kind: Secret
metadata: {name: worker, namespace: shop}
stringData: {secret: a-secret-of-more-than-thirty-two-bytes}
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtConsumer
metadata: {name: worker, namespace: shop}
spec:
  gatewayRef: {name: main}
  credentials: [{name: primary, algorithm: HS256, key: shop.worker, secretRef: {name: worker}}]
---
apiVersion: kongjwt.dev/v1alpha1
kind: JwtProtectedService
metadata: {name: orders, namespace: shop}
spec:
  gatewayRef: {name: main}
  upstream: {url: UPSTREAM}
  routes: [{name: api, paths: [/orders], protocols: [http, https]}]
  jwt: {keyClaimName: kid, claimsToVerify: [exp]}
  access: {consumers: [{name: worker}]}
  rateLimit: {minute: 600}
`

func TestDebugA401(t *testing.T) {
	w := newWorld(t, kongsim.Options{})
	r := newReader(t, w.checkout, environ(t, w.kubeconfig))
	sets := func(command string) {
		t.Helper()
		output, code, err := r.shell.run(t.Context(), command)
		if err != nil || code != 0 {
			t.Fatalf("%s: %d %v\n%s", command, code, err, output)
		}
	}
	sets("helm install kong-jwt-operator charts/kong-jwt-operator --namespace kong-jwt-system --create-namespace")
	must(t, w.startOperator(t.Context()))
	objects := strings.NewReplacer("ADMIN", w.kong.AdminURL(), "PROXY", w.kong.ProxyURL(), "UPSTREAM", w.upstream.URL()).Replace(debugged)
	must(t, os.WriteFile(filepath.Join(w.checkout, "debugged.yaml"), []byte(objects), 0o600))
	sets("kubectl apply -f debugged.yaml")
	sets("kubectl wait --for=condition=Ready --timeout=60s -n shop kongjwt --all")

	r.instead["http://127.0.0.1:8000"] = w.kong.ProxyURL()
	const plain = `echo "$TOKEN" | kubectl kongjwt explain --service shop/orders`
	byURL := `echo "$TOKEN" | kubectl kongjwt explain --url http://127.0.0.1:8000/orders`
	token := func(key string, expires time.Duration) func() error {
		return func() error {
			signed := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": key, "exp": time.Now().Add(expires).Unix()})
			signed.Header["kid"] = key
			text, err := signed.SignedString([]byte("a-secret-of-more-than-thirty-two-bytes"))
			if err != nil {
				return err
			}
			sets("TOKEN=" + text)
			return nil
		}
	}
	r.before[byURL], r.ends[byURL] = token("shop.worker", -3*time.Minute), 1
	r.before[plain], r.ends[plain] = token("shop.wroker", 10*time.Minute), 1
	r.before[plain+" --live"] = token("shop.worker", 10*time.Minute)
	r.reads("docs/how-to/debug-a-401.md")
}
