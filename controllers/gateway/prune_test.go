package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/controllers/lifecycle"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Only what is known to be gone is gone: everything else keeps what it has in Kong.
func TestGone(t *testing.T) {
	consumers := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "jwtconsumers"}
	forbidden := apierrors.NewForbidden(consumers, "john", nil)
	unserved := apierrors.NewGenericServerResponse(http.StatusNotFound, "get", consumers, "john", "404 page not found", 0, true)
	john := desired.ConsumerOwner("team", "john")
	for name, c := range map[string]struct {
		owner      desired.Owner
		spec, held string // the gateways that the resource names, if it is there
		namespaces []string
		answer     error
		gone, fail bool
	}{
		"not there":                                    {owner: john, gone: true},
		"a service that is not there":                  {owner: desired.ServiceOwner("team", "api"), gone: true},
		"there":                                        {owner: john, spec: "default"},
		"there, and names another gateway":             {owner: john, spec: "other", gone: true},
		"on its way to another gateway":                {owner: john, spec: "other", held: "default"},
		"not there, in a namespace of this process":    {owner: john, namespaces: []string{"team"}, gone: true},
		"not there, in a namespace of another process": {owner: john, namespaces: []string{"others"}},
		"may not be read":                              {owner: john, answer: forbidden, fail: true},
		"the kind is not served":                       {owner: john, answer: unserved, fail: true},
		"the gateway's own":                            {owner: desired.Owner{Kind: v1alpha1.KindKongGateway, Name: "default"}},
		"of a kind that this version does not know":    {owner: desired.Owner{Kind: "JwtSomething", Namespace: "team", Name: "x"}},
		"the API server has trouble": {
			owner: john, answer: apierrors.NewInternalError(context.DeadlineExceeded), fail: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			builder := fake.NewClientBuilder().WithScheme(scheme)
			if c.spec != "" {
				builder.WithObjects(&v1alpha1.JwtConsumer{
					ObjectMeta: metav1.ObjectMeta{Namespace: c.owner.Namespace, Name: c.owner.Name},
					Spec:       v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: c.spec}},
					Status:     v1alpha1.JwtConsumerStatus{Gateway: c.held},
				})
			}
			if c.answer != nil {
				builder.WithInterceptorFuncs(interceptor.Funcs{
					Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
						return c.answer
					},
				})
			}
			r := &Reconciler{Options: Options{Namespaces: c.namespaces}}
			gone, err := r.gone(t.Context(), builder.Build(), c.owner, "default")
			if gone != c.gone || (err != nil) != c.fail {
				t.Errorf("gone is %v, the error %v", gone, err)
			}
		})
	}
}

// A process that works on some of the resources has only those in its cache. What the others work on is not gone for
// that, and not looked for one by one.
func TestWhatOthersWorkOnIsNotGone(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	const others = 3 * askedOneByOne
	gets, lists := 0, 0
	live := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			gets++
			return c.Get(ctx, key, object, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			lists++
			return c.List(ctx, list, options...)
		},
	})
	owners := []desired.Owner{desired.ConsumerOwner("team", "gone-first")}
	for i := range others {
		name := fmt.Sprintf("consumer-%d", i)
		live.WithObjects(&v1alpha1.JwtConsumer{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Spec: v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: "default"}},
		})
		owners = append(owners, desired.ConsumerOwner("team", name))
	}
	owners = append(owners, desired.ConsumerOwner("team", "gone-last"), desired.ServiceOwner("team", "consumer-0"))
	r := &Reconciler{
		Lifecycle: &lifecycle.Lifecycle{Client: fake.NewClientBuilder().WithScheme(scheme).Build()}, Options: Options{Live: live.Build()},
	}
	seems := r.seemsGone(t.Context(), "default")
	for _, owner := range owners {
		gone, err := seems(owner)
		if err != nil {
			t.Fatal(err)
		}
		if want := !strings.HasPrefix(owner.Name, "consumer-") || owner.Kind != v1alpha1.KindJwtConsumer; gone != want {
			t.Errorf("%s is gone: %v", owner, gone)
		}
	}
	if gets > askedOneByOne || lists > 2 {
		t.Errorf("%d resources and %d lists were asked for", gets, lists)
	}
}
