package controllers

import (
	"context"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
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
			r := &KongGatewayReconciler{Options: Options{Namespaces: c.namespaces}}
			gone, err := r.gone(t.Context(), builder.Build(), c.owner, "default")
			if gone != c.gone || (err != nil) != c.fail {
				t.Errorf("gone is %v, the error %v", gone, err)
			}
		})
	}
}
