package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/bundle"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
)

const (
	// hmacSecret is in a Secret that a resource names.
	hmacSecret = "Zq7-hmac-secret-of-john-0123456789"
	// pluginPassword is where no password belongs: in a plugin's configuration.
	pluginPassword = "Xw3-password-in-a-plugin"
	// upstreamPassword is in a URL.
	upstreamPassword = "Vb5-password-in-a-url"
	// podPassword is the value of an environment variable.
	podPassword = "Ty8-password-in-a-pod"
	// signature is that of a token which somebody's proxy logged.
	signature = "c2lnbmF0dXJlLW9mLWEtdG9rZW4tMDEyMzQ1Njc4OQ"
	// privateKey is one that stands in a message.
	privateKey = "MHcCAQEEIPlantedPlantedPlantedPlanted"
)

// planted are the values that may be nowhere in an archive.
var planted = []string{hmacSecret, pluginPassword, upstreamPassword, podPassword, signature, privateKey}

// objects are resources with a secret wherever one could be.
func objects() []client.Object {
	lastApplied := `{"spec":{"plugins":[{"config":{"password":"` + pluginPassword + `"}}]}}`
	config := apiextensionsv1.JSON{Raw: []byte(`{"password":"` + pluginPassword + `","port":6379,"hosts":["` + pluginPassword + `"]}`)}
	return []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		&v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "john", Annotations: map[string]string{
				corev1.LastAppliedConfigAnnotation: lastApplied, v1alpha1.AnnotationReconcile: "2026-11-24T11:00:00Z",
			}},
			Spec: v1alpha1.JwtConsumerSpec{
				Credentials: []v1alpha1.Credential{{Name: "main", SecretRef: &v1alpha1.CredentialSecretReference{Name: "john-jwt"}}},
				Plugins:     []v1alpha1.PluginSpec{{Name: "headers", Plugin: "request-transformer", Config: &config}},
			},
		},
		&v1alpha1.JwtProtectedService{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "api"},
			Spec:       v1alpha1.JwtProtectedServiceSpec{Upstream: &v1alpha1.Upstream{URL: "http://user:" + upstreamPassword + "@upstream.example/"}},
		},
		&v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "jane"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "john-jwt"}, Data: map[string][]byte{"key": []byte("john-key"), "secret": []byte(hmacSecret)}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "unrelated"}, Data: map[string][]byte{"password": []byte("of-nobody-here")}},
		&corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "john.1"}, Type: "Warning", Reason: "SecretInvalid",
			InvolvedObject: corev1.ObjectReference{Kind: "JwtConsumer", Namespace: "default", Name: "john"},
			Message:        "it says -----BEGIN EC PRIVATE KEY-----\n" + privateKey + "\n-----END EC PRIVATE KEY-----",
		},
		&corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod.1"}, Reason: "Pulled", Message: "an image of another's",
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "another"},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "operator", Name: "manager-0", Labels: map[string]string{"app.kubernetes.io/name": "kong-jwt-operator"}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "manager", Image: "operator:1", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: podPassword}},
				Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 8443}},
			}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "manager", RestartCount: 1}}},
		},
	}
}

// apiServer answers what a bundle asks beside the resources. Its log has a secret in it, in each form that logs have.
func apiServer(t *testing.T) *httptest.Server {
	t.Helper()
	logs := "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2huIn0." + signature + "\n" +
		"the secret is " + hmacSecret + "\nand in base64 " + base64.StdEncoding.EncodeToString([]byte(hmacSecret)) + "\n"
	mux := http.NewServeMux()
	answer := func(pattern, text string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("previous") == "true" {
				text = "the log of before\n"
			}
			_, _ = io.WriteString(w, text) // the test sees what arrives
		})
	}
	answer("/version", `{"gitVersion":"v1.99.0"}`)
	answer("/api/v1/namespaces/operator/pods/manager-0/log", logs)
	answer("/api/v1/namespaces/operator/pods/http:manager-0:8443/proxy/metrics", "kongjwt_managed_entities 5\n")
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func newSession(t *testing.T) *clitest.Session {
	t.Helper()
	s := clitest.New(t, objects()...)
	server := apiServer(t)
	s.Env.NewClientset = func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(&rest.Config{Host: server.URL}) }
	return s
}

// unpack reads an archive into its files, without the folder that they are in.
func unpack(t *testing.T, packed io.Reader) map[string]string {
	t.Helper()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, inFolder := strings.Cut(header.Name, "/")
		if !inFolder {
			t.Errorf("%s would be unpacked beside its folder", header.Name)
		}
		files[name] = string(content)
	}
}

func TestWhatIsInIt(t *testing.T) {
	s := newSession(t)
	if err := s.Run(t, bundle.Command, "-A", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, bytes.NewReader(s.Out.Bytes()))
	for name, texts := range map[string][]string{
		"resources/konggateway/default.yaml":             {"kind: KongGateway"},
		"resources/jwtconsumer/default_john.yaml":        {"apiVersion: kongjwt.dev/v1alpha1", "plugin: request-transformer", "port: 6379", "2026-11-24T11:00:00Z"},
		"resources/jwtconsumer/other_jane.yaml":          {"name: jane"},
		"resources/jwtprotectedservice/default_api.yaml": {"upstream.example"},
		"status.yaml":                                      {"john"},
		"secrets.yaml":                                     {"name: john-jwt", "JwtConsumer john", "secret: 34"},
		"events.yaml":                                      {"SecretInvalid", "JwtConsumer default/john"},
		"versions.yaml":                                    {"v1.99.0", "operator:1", "plugin: test"},
		"operator/operator_manager-0.yaml":                 {"name: PASSWORD"},
		"operator/operator_manager-0_manager.log":          {"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2huIn0.[redacted]"},
		"operator/operator_manager-0_metrics.txt":          {"kongjwt_managed_entities 5"},
		"operator/operator_manager-0_manager.previous.log": {"the log of before"},
	} {
		for _, text := range texts {
			if !strings.Contains(files[name], text) {
				t.Errorf("%s lacks %q: %s", name, text, files[name])
			}
		}
	}
	if strings.Contains(files["events.yaml"], "Pulled") || strings.Contains(files["secrets.yaml"], "unrelated") {
		t.Error("what is not ours is in it")
	}
}

func TestNoSecretIsInIt(t *testing.T) {
	s := newSession(t)
	if err := s.Run(t, bundle.Command, "-A", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, s.Out)
	files["what it says"] = s.ErrOut.String()
	for name, content := range files {
		for _, value := range planted {
			for _, form := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value))} {
				if strings.Contains(name+content, form) {
					t.Errorf("%s: %s is in it", name, value[:3])
				}
			}
		}
	}
}

func TestOneNamespaceIsLookedAtAlone(t *testing.T) {
	s := newSession(t)
	if err := s.Run(t, bundle.Command, "-n", "other", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	for name := range unpack(t, s.Out) {
		if strings.Contains(name, "john") {
			t.Errorf("%s is another namespace's", name)
		}
	}
}

func TestAFileIsNeitherOverwrittenNorReadableByOthers(t *testing.T) {
	s := newSession(t)
	path := filepath.Join(t.TempDir(), "out.tar.gz")
	if err := s.Run(t, bundle.Command, "-A", "-f", path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	if err := s.Run(t, bundle.Command, "-A", "-f", path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
}

func TestWhatCannotBeReadIsNamed(t *testing.T) {
	s := newSession(t)
	away := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(away.Close)
	s.Env.NewClientset = func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(&rest.Config{Host: away.URL}) }
	if err := s.Run(t, bundle.Command, "-A", "-f", "-", "--selector", "app=none"); err != nil {
		t.Fatal(err)
	}
	problems := strings.Split(unpack(t, s.Out)["problems.txt"], "\n")
	for _, expected := range []string{"the API server's version", "no pod has the labels app=none"} {
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, expected) }) || !strings.Contains(s.ErrOut.String(), expected) {
			t.Errorf("%q is told neither in %q nor in %q", expected, problems, s.ErrOut)
		}
	}
}

func TestMetricsThatAskForATokenAreNamed(t *testing.T) {
	s := newSession(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/namespaces/operator/pods/https:manager-0:8443/proxy/metrics", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/metrics") {
			t.Errorf("it was asked again: %s", r.URL.Path)
		}
		_, _ = io.WriteString(w, "{}") // the rest is of no matter
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.Env.NewClientset = func() (kubernetes.Interface, error) { return kubernetes.NewForConfig(&rest.Config{Host: server.URL}) }
	if err := s.Run(t, bundle.Command, "-A", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if problems := unpack(t, s.Out)["problems.txt"]; !strings.Contains(problems, "operator_manager-0_metrics.txt: the endpoint asks who reads it") {
		t.Errorf("%q", problems)
	}
}

func TestABadSelectorIsRefusedWithTheFlagsName(t *testing.T) {
	s := newSession(t)
	if err := s.Run(t, bundle.Command, "-f", "-", "--selector", "a in"); err == nil || !strings.Contains(err.Error(), "--selector") {
		t.Errorf("error %v", err)
	}
}

// TestWithoutTheKinds: an installation without its CustomResourceDefinitions is what a bundle is for.
func TestWithoutTheKinds(t *testing.T) {
	s := newSession(t)
	missing := interceptor.NewClient(s.Client, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, ours := list.(v1alpha1.ResourceList); ours {
				return &meta.NoKindMatchError{GroupKind: v1alpha1.GroupVersion.WithKind("KongGateway").GroupKind()}
			}
			return c.List(ctx, list, opts...)
		},
	})
	s.Env.NewClient = func() (client.WithWatch, error) { return missing, nil }
	if err := s.Run(t, bundle.Command, "-A", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, s.Out)
	if !strings.Contains(files["problems.txt"], "the resources: the cluster knows no KongGateway: is kong-jwt-operator installed?") {
		t.Errorf("problems.txt says %s", files["problems.txt"])
	}
	if files["operator/operator_manager-0.yaml"] == "" || files["versions.yaml"] == "" {
		t.Errorf("it has no pods or versions: %v", slices.Sorted(maps.Keys(files)))
	}
}
