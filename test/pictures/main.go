// Command pictures runs the operator for a few minutes of a small shop's life, asks a Prometheus that reads its
// metrics what each panel of the dashboard shows, and the plugin who may call what. It writes both into a folder, for
// hack/pictures to draw.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

const namespace = "shop"

func main() {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "kong-jwt-pictures-")
	if err != nil {
		return err
	}
	env, err := stack.Start(ctx, stack.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop(), os.RemoveAll(dir)) }()
	metrics, err := stack.FreeAddress()
	if err != nil {
		return err
	}
	server, stop, err := startPrometheus(ctx, filepath.Join(dir, "prometheus"), metrics)
	if err != nil {
		return err
	}
	defer stop()
	if _, err := env.StartOperator(ctx, "--metrics-bind-address", metrics, "--metrics-secure=false"); err != nil {
		return err
	}
	began := time.Now()
	if err := live(ctx, env); err != nil {
		return err
	}
	panels, err := server.panels(ctx, began, time.Now())
	if err != nil {
		return err
	}
	content, err := json.Marshal(panels)
	if err != nil {
		return err
	}
	graph := exec.CommandContext(ctx, os.Getenv("KJO_PLUGIN"), "graph", "-A", "-o", "dot") //nolint:gosec // Ours.
	graph.Env, graph.Stderr = append(os.Environ(), "KUBECONFIG="+env.Kubeconfig), os.Stderr
	text, err := graph.Output()
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(folder, 0o750), os.WriteFile(filepath.Join(folder, "dashboard.json"), content, 0o600),
		os.WriteFile(filepath.Join(folder, "graph.dot"), text, 0o600)) //nolint:gosec // A constant of ours.
}

// folder takes what is to be drawn.
const folder = "bin/pictured"

// startPrometheus starts the Prometheus in the folder that KJO_PROMETHEUS names.
func startPrometheus(ctx context.Context, dir, target string) (server prometheus, stop func(), err error) {
	listen, err := stack.FreeAddress()
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", nil, err
	}
	path := filepath.Join(dir, "prometheus.yaml")
	file := fmt.Sprintf("global: {scrape_interval: 2s}\nscrape_configs: [{job_name: operator, static_configs: [{targets: [%q]}]}]\n", target)
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		return "", nil, err
	}
	binary := filepath.Join(os.Getenv("KJO_PROMETHEUS"), "prometheus")
	command := exec.CommandContext(ctx, binary, "--config.file="+path, //nolint:gosec // Ours, or the machine's.
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	if err := command.Start(); err != nil {
		return "", nil, err
	}
	return prometheus("http://" + listen), func() { _ = command.Process.Kill(); _ = command.Wait() }, nil
}

// live is what happens in the shop: it is set up, a credential is rotated, a plugin disappears from Kong, a consumer
// comes whose Secret does not exist.
func live(ctx context.Context, env *stack.Stack) error {
	objects := shop(env)
	for _, object := range objects {
		if err := env.Client.Create(ctx, object); err != nil {
			return err
		}
	}
	for _, object := range objects[1:] {
		if err := awaitReady(ctx, env.Client, object); err != nil {
			return fmt.Errorf("%T %s is not Ready: %w", object, object.GetName(), err)
		}
	}
	web := objects[len(objects)-1]
	for _, act := range []func() error{
		func() error {
			patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"kongjwt.dev/rotate":"1"}}}`))
			return env.Client.Patch(ctx, web, patch)
		},
		func() error { return takePluginAway(ctx, env.AdminURL) },
		func() error { return env.Client.Create(ctx, consumer("partner", "missing")) },
		func() error { return nil },
	} {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
		}
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

// shop are its resources; the last is the consumer that is rotated.
func shop(env *stack.Stack) []client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	gateway := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "kong"}}
	gateway.Spec.AdminAPI = v1alpha1.AdminAPI{URL: env.AdminURL}
	gateway.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: []string{env.ProxyURL}}
	gateway.Spec.Drift.Interval = "10s"
	gateway.Spec.AllowedNamespaces.From = v1alpha1.NamespacesAll
	access := map[string]*v1alpha1.Access{
		"orders":   {Groups: []string{"shop.clients"}},
		"payments": {Groups: []string{"shop.clients"}, Consumers: []v1alpha1.ConsumerReference{{Name: "till"}}},
		"stock":    {Consumers: []v1alpha1.ConsumerReference{{Name: "till"}}},
	}
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, gateway}
	for _, name := range []string{"orders", "payments", "stock"} {
		service := &v1alpha1.JwtProtectedService{ObjectMeta: meta(name)}
		service.Spec.GatewayRef.Name = gateway.Name
		service.Spec.Upstream = &v1alpha1.Upstream{URL: "http://" + name + ".example.com"}
		service.Spec.Routes = []v1alpha1.Route{{Name: "all", Paths: []string{"/" + name}}}
		service.Spec.Access = access[name]
		objects = append(objects, service)
	}
	for _, name := range []string{"mobile", "till", "web"} {
		one := consumer(name, "")
		if name != "till" {
			one.Spec.Groups = []string{"shop.clients"}
		}
		objects = append(objects, one)
	}
	token := &v1alpha1.JwtToken{ObjectMeta: meta("batch")}
	token.Spec.ConsumerRef = v1alpha1.CredentialReference{Name: "mobile", Credential: "primary"}
	token.Spec.SecretName = "batch-token"
	return append(objects[:len(objects)-1], token, objects[len(objects)-1])
}

// consumer has a credential that is generated, or that is in a Secret.
func consumer(name, secret string) *v1alpha1.JwtConsumer {
	object := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	object.Spec.GatewayRef.Name = "kong"
	credential := v1alpha1.Credential{Name: "primary", Generate: &v1alpha1.Generate{
		SecretName: name + "-jwt", Rotation: &v1alpha1.Rotation{Interval: "720h", Overlap: "1h"},
	}}
	if secret != "" {
		credential = v1alpha1.Credential{Name: "primary", SecretRef: &v1alpha1.CredentialSecretReference{Name: secret}}
	}
	object.Spec.Credentials = []v1alpha1.Credential{credential}
	return object
}

func awaitReady(ctx context.Context, kube client.Client, object client.Object) error {
	return wait.PollUntilContextTimeout(ctx, time.Second, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return false, err
		}
		return apimeta.IsStatusConditionTrue(*object.(v1alpha1.Resource).GetConditions(), v1alpha1.ConditionReady), nil
	})
}

// takePluginAway deletes a plugin behind the operator's back.
func takePluginAway(ctx context.Context, admin string) error {
	var plugins struct{ Data []struct{ ID string } }
	if err := ask(ctx, http.MethodGet, admin+"/plugins?tags=kongjwt-owner:JwtProtectedService:shop:orders", &plugins); err != nil {
		return err
	}
	if len(plugins.Data) == 0 {
		return errors.New("no service has a plugin")
	}
	return ask(ctx, http.MethodDelete, admin+"/plugins/"+plugins.Data[0].ID, nil)
}

func ask(ctx context.Context, method, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}
