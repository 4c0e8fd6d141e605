package ingress

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// aRun is a run of a service's owner, whose dry runs are answered by answer; there are the objects that are there.
func aRun(answer func(name string) error, there ...held.Object) (r *run, asked *[]string) {
	asked = &[]string{}
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		Apply: func(_ context.Context, _ client.WithWatch, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			var asks client.ApplyOptions
			asks.ApplyOptions(options)
			if !slices.Equal(asks.DryRun, []string{metav1.DryRunAll}) {
				return errors.New("it is written")
			}
			named, is := o.(interface{ GetName() string })
			if !is {
				return errors.New("it has no name")
			}
			*asked = append(*asked, named.GetName())
			return answer(named.GetName())
		},
	})
	r = &run{
		rooms: &rooms{about: about{
			cluster: cluster{kube}, start: engine.Start{Scope: desired.Scope{Gateway: "g"}},
			settings: Settings{DriftInterval: time.Hour},
		}},
		owner: desired.ServiceOwner("team", "api"), own: map[objects.Reference]held.Object{},
	}
	for _, o := range there {
		r.own[o.Reference] = o
	}
	return r, asked
}

func plugin(name, sum string) objects.Object {
	return objects.Object{
		Reference: objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindClusterPlugin, Name: name},
		Entity:    kong.KindPlugin, Part: "plugin:" + name, Sum: sum,
		Content: map[string]any{
			"apiVersion": objects.GroupKong, "kind": objects.KindClusterPlugin, "metadata": map[string]any{"name": name},
		},
	}
}

func TestWhatChangesIsJudgedBeforeItIsWrittenAndNothingElse(t *testing.T) {
	secret := plugin("secret", "1")
	secret.Kind, secret.Entity = "Secret", ""
	guarded, is := plugin("guarded", "2"), held.Object{Object: plugin("guarded", "1")}
	is.Guarded = true
	is.Content = nil
	there := func(name string) held.Object { return held.Object{Object: plugin(name, "1"), Stale: true} }
	for name, test := range map[string]struct {
		want  []objects.Object
		there []held.Object
		asked []string
	}{
		"a new resource":   {[]objects.Object{secret, plugin("a", "1"), plugin("b", "1")}, nil, []string{"a", "b"}},
		"one object":       {[]objects.Object{secret, plugin("a", "1")}, nil, nil},
		"after a restart":  {[]objects.Object{plugin("a", "1"), plugin("b", "1")}, []held.Object{there("a"), there("b")}, nil},
		"two of three":     {[]objects.Object{plugin("a", "2"), plugin("b", "1"), plugin("c", "1")}, []held.Object{there("a"), there("b")}, []string{"a", "c"}},
		"a route is freed": {[]objects.Object{guarded, plugin("a", "2")}, []held.Object{is, there("a")}, nil},
		"a resource goes":  {nil, []held.Object{there("a"), there("b")}, nil},
	} {
		r, asked := aRun(func(string) error { return nil }, test.there...)
		if err := r.validate(t.Context(), test.want); err != nil || !slices.Equal(*asked, test.asked) {
			t.Errorf("%s: asked for %v: %v", name, *asked, err)
		}
	}
}

func TestARefusalNamesFieldAndObjectAndNoValue(t *testing.T) {
	denied := func(message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Code: http.StatusBadRequest, Status: metav1.StatusFailure,
			Message: `admission webhook "kongclusterplugins.validation.ingress-controller.konghq.com" denied the request: ` + message,
		}}
	}
	for message, said := range map[string]string{
		"plugin failed schema validation: schema violation (config.minute: hush)":                     "invalid config.minute;",
		"plugin failed schema validation: 2 schema violations (config.http.host: hush; protocols: x)": "invalid config.http.host;",
		"plugin failed schema validation: schema violation (hush hush: config.minute: x)":             "its admission denies it;",
		"hush": "its admission denies it;",
	} {
		r, asked := aRun(func(name string) error {
			if name == "b" {
				return denied(message)
			}
			return nil
		})
		err := r.validate(t.Context(), []objects.Object{plugin("a", "1"), plugin("b", "1"), plugin("c", "1")})
		var stalled *status.StalledError
		if !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonKongRejected || stalled.RetryAfter == 0 {
			t.Fatalf("%s: %v", message, err)
		}
		if !strings.HasPrefix(err.Error(), "spec.plugins[b]: the API server refuses KongClusterPlugin b: "+said) ||
			strings.Contains(err.Error(), "hush") || !slices.Equal(*asked, []string{"a", "b"}) {
			t.Errorf("%s: %v, %v", message, err, *asked)
		}
	}
}

func TestWhatIsNoRefusalIsTriedAgain(t *testing.T) {
	r, _ := aRun(func(string) error { return apierrors.NewInternalError(errors.New("the webhook is away")) })
	err := r.validate(t.Context(), []objects.Object{plugin("a", "1"), plugin("b", "1")})
	if after, retry := status.Next(err); retry == nil || after != 0 {
		t.Errorf("%v: %v, %v", err, after, retry)
	}
}
