package explain_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	cli "github.com/kongjwt/kong-jwt-operator/internal/cli/explain"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/test/docs"
)

// shop is what the page is about: a worker that may call orders, and nobody else.
func shop(proxyURL string) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "shop", Name: name} }
	worker := consumer("worker", func(c *v1alpha1.JwtConsumer) {
		c.ObjectMeta = meta("worker")
		c.Spec.GatewayRef.Name, c.Spec.Credentials[0].Key, c.Status.Credentials[0].Key = "main", "shop.worker", "shop.worker"
	})
	orders := service("shop", "orders", func(s *v1alpha1.JwtProtectedService) {
		minute := int32(600)
		s.Spec.GatewayRef.Name, s.Spec.Routes[0].Hosts = "main", nil
		s.Spec.Access = &v1alpha1.Access{Consumers: []v1alpha1.ConsumerReference{{Name: "worker"}}}
		s.Spec.RateLimit = &v1alpha1.RateLimit{Minute: &minute}
	})
	return []client.Object{
		&v1alpha1.KongGateway{
			ObjectMeta: metav1.ObjectMeta{Name: "main"}, Spec: v1alpha1.KongGatewaySpec{DataPlanes: &v1alpha1.DataPlanes{URLs: []string{proxyURL}}},
			Status: v1alpha1.KongGatewayStatus{Conditions: ready},
		},
		worker, orders,
		&corev1.Secret{ObjectMeta: meta("worker"), Data: map[string][]byte{"secret": []byte(material)}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "an-installation"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kong-jwt-system", Name: "kong-jwt-operator-probe"}, Data: map[string][]byte{"seed": []byte("a seed")}},
	}
}

// dataPlane answers by the probe route as Kong does, and nowhere else. What it is asked may be valid for nobody.
func dataPlane(t *testing.T, secret string) *httptest.Server {
	t.Helper()
	route := desired.NewProbeRoute(desired.Scope{Installation: "an-installation", Gateway: "main"}, []byte("a seed"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != route.Host || r.URL.Path != route.Path || r.Header.Get(route.Header) != route.Value {
			t.Errorf("a request for %s%s", r.Host, r.URL.Path)
		}
		claims := jwt.MapClaims{}
		_, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseWithClaims(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), claims,
			func(*jwt.Token) (any, error) { return []byte(secret), nil })
		if at, expErr := claims.GetExpirationTime(); expErr != nil || at == nil || at.After(clitest.Now.Add(-24*time.Hour)) {
			t.Errorf("a token that is good until %v", at)
		}
		answer := map[string]string{"exp": "token expired"}
		if err != nil {
			answer = map[string]string{"message": "Invalid signature"}
		}
		w.Header().Set(route.Proof, "any")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(answer) // who asked sees what arrives
	}))
	t.Cleanup(server.Close)
	return server
}

var (
	headerLine = regexp.MustCompile(`(?m)^Header  (.*)$`)
	claimsLine = regexp.MustCompile(`(?m)^Claims  (.*)$`)
	// distance is how far exp is from when the page's output was printed.
	distance = regexp.MustCompile(`exp: (expires in|expired) (?:(\d+) minutes?)? ?(?:(\d+) seconds?)?`)
)

// tokenOf makes the token that an output of the page is about, and says when it was looked at.
func tokenOf(t *testing.T, output string) (token string, now time.Time) {
	t.Helper()
	var header map[string]any
	claims := jwt.MapClaims{}
	if json.Unmarshal([]byte(headerLine.FindStringSubmatch(output)[1]), &header) != nil || json.Unmarshal([]byte(claimsLine.FindStringSubmatch(output)[1]), &claims) != nil {
		t.Fatalf("no token in\n%s", output)
	}
	made := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	made.Header = header
	token, err := made.SignedString([]byte(material))
	if err != nil {
		t.Fatal(err)
	}
	exp, err := claims.GetExpirationTime()
	parts := distance.FindStringSubmatch(output)
	if err != nil || parts == nil {
		t.Fatalf("no exp in\n%s", output)
	}
	far, err := time.ParseDuration("0" + parts[2] + "m0" + parts[3] + "s")
	if err != nil {
		t.Fatal(err)
	}
	if parts[1] == "expired" {
		far = -far
	}
	return token, exp.Add(-far)
}

// TestThePageShowsRealOutput: docs/how-to/debug-a-401.md has, letter by letter, what the command prints.
func TestThePageShowsRealOutput(t *testing.T) {
	content, err := os.ReadFile("../../../docs/how-to/debug-a-401.md")
	if err != nil {
		t.Fatal(err)
	}
	plane := dataPlane(t, material)
	shown := 0
	for _, block := range docs.Parse("debug-a-401.md", string(content)).Blocks {
		command, output, _ := strings.Cut(block.Text, "\n")
		_, args, isExplain := strings.Cut(command, "| kubectl kongjwt explain ")
		if block.Language != "console" || !isExplain {
			continue
		}
		shown++
		token, now := tokenOf(t, output)
		s := clitest.New(t, shop(plane.URL)...)
		s.Clock.SetTime(now)
		s.In.WriteString(token)
		_ = s.Run(t, cli.Command, strings.Fields(args)...) // the exit is the verdict, which is in the output
		if got := strings.ReplaceAll(s.Out.String(), plane.URL, "http://127.0.0.1:8000"); got != output {
			t.Errorf("line %d shows\n%s\nand explain prints\n%s", block.Line, output, got)
		}
	}
	if shown < 3 {
		t.Errorf("the page shows %d outputs", shown)
	}
}

// TestLiveAsksWithTokensThatAreGoodNowhere: and a data plane that disagrees has the last word.
func TestLiveAsksWithTokensThatAreGoodNowhere(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		want   string
	}{
		"it holds the credential":    {material, "ACCEPTED  as the consumer shop.worker"},
		"it holds the key, not this": {"another-secret-of-thirty-two-byt", "REFUSED  for data planes: "},
	} {
		t.Run(name, func(t *testing.T) {
			plane := dataPlane(t, c.secret)
			s := clitest.New(t, shop(plane.URL)...)
			s.In.WriteString(sign(t, material, "shop.worker", at(time.Hour)))
			_ = s.Run(t, cli.Command, "--service", "shop/orders", "--live")
			if !bytes.HasPrefix(s.Out.Bytes(), []byte(c.want)) {
				t.Errorf("printed\n%s", s.Out)
			}
		})
	}
}
