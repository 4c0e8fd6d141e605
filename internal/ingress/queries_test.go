package ingress

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

func TestThePublicKeyOfAKeyIsTheOneInItsSecret(t *testing.T) {
	r, _, _ := neverTaken()
	r.start.Scope = desired.Scope{Installation: "i", Gateway: "g"}
	r.objects = objects.Settings{Scope: r.start.Scope, Namespace: "system", Key: []byte("k")}
	owner := desired.ConsumerOwner("team", "app")
	all, err := r.objects.Of(desired.Set{Owner: owner, Entities: []kong.Entity{{
		Kind: kong.KindJWT, ID: desired.CredentialID(r.start.Scope, owner, "main"),
		Fields: kong.Fields{"key": "k", "algorithm": "RS256", "rsa_public_key": "a PEM\n",
			"tags": r.start.Scope.Tags(owner, "main")},
	}}}, nil, nil)
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	o := all[0]
	r.held.Put(held.Object{Object: o})
	secret := &unstructured.Unstructured{Object: map[string]any{"data": map[string]any{
		"key": "aw==", "algorithm": "UlMyNTY=", "rsa_public_key": "YSBQRU0K",
	}}}
	secret.SetAPIVersion("v1")
	secret.SetKind("Secret")
	secret.SetNamespace(o.Namespace)
	secret.SetName(o.Name)
	var unreadable error
	r.cluster.kube = interceptor.NewClient(fake.NewClientBuilder().WithObjects(secret).Build(), interceptor.Funcs{
		Get: func(ctx context.Context, kube client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			if unreadable != nil {
				return unreadable
			}
			return kube.Get(ctx, key, o, options...)
		},
	})
	for _, test := range []struct {
		key, pem   string
		unreadable error
		want       bool
	}{
		{"k", "a PEM\n", nil, true}, {"k", "a PEM", nil, true}, {"k", "another PEM\n", nil, false},
		{"other", "a PEM\n", nil, false}, {"k", "another PEM\n", errors.New("no answer"), true},
	} {
		unreadable = test.unreadable
		by, part, found := r.PublicKeyHolder(t.Context(), test.key, test.pem)
		if found != test.want || found && (by != owner || part != o.Part) {
			t.Errorf("%+v: %v of %v, %v", test, part, by, found)
		}
	}
}
