package secrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/secrets"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// cluster is a fake API server that counts the writes that reach it.
type cluster struct {
	client.Client
	store  *secrets.Store
	writes int
}

// newCluster starts with some objects. before runs ahead of each write, and may fail it or change the cluster under
// its feet.
func newCluster(t *testing.T, before func(client.WithWatch) error, objects ...client.Object) *cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := &cluster{}
	write := func(inner client.WithWatch, do func() error) error {
		if before != nil {
			if err := before(inner); err != nil {
				return err
			}
		}
		c.writes++
		return do()
	}
	c.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, inner client.WithWatch, object client.Object, options ...client.CreateOption) error {
			return write(inner, func() error { return inner.Create(ctx, object, options...) })
		},
		Update: func(ctx context.Context, inner client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			return write(inner, func() error { return inner.Update(ctx, object, options...) })
		},
		Delete: func(ctx context.Context, inner client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			return write(inner, func() error { return inner.Delete(ctx, object, options...) })
		},
	}).Build()
	c.store = secrets.NewStore(c.Client, c.Client)
	return c
}

func (c *cluster) read(t *testing.T) *corev1.Secret {
	t.Helper()
	var secret corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &secret); err != nil {
		t.Fatal(err)
	}
	return &secret
}

func consumer(consumerName string) secrets.Owner {
	return secrets.Owner{Kind: v1alpha1.KindJwtConsumer, Object: &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: consumerName, UID: "uid-of-john"},
	}}
}

func data(secret string) map[string][]byte { return map[string][]byte{"secret": []byte(secret)} }

// foreign is a Secret of our name that somebody made by hand.
func foreign() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: data("theirs")}
}

// ours is a Secret as Publish makes it for a consumer.
func ours(t *testing.T, owner secrets.Owner, content map[string][]byte) *corev1.Secret {
	t.Helper()
	c := newCluster(t, nil)
	if _, err := c.store.Publish(t.Context(), owner, field, name, content); err != nil {
		t.Fatal(err)
	}
	secret := c.read(t)
	secret.ResourceVersion = ""
	return secret
}

func wantStalled(t *testing.T, err error, reason string, parts ...string) {
	t.Helper()
	var stalled *status.StalledError
	if !errors.As(err, &stalled) || stalled.Reason != reason {
		t.Fatalf("got %v, want a StalledError with reason %s", err, reason)
	}
	for _, part := range parts {
		if !strings.Contains(stalled.Message, part) {
			t.Errorf("message %q does not say %q", stalled.Message, part)
		}
	}
}

func wantWait(t *testing.T, err error, reason string) {
	t.Helper()
	var wait *status.WaitError
	if !errors.As(err, &wait) || wait.Reason != reason {
		t.Fatalf("got %v, want a WaitError with reason %s", err, reason)
	}
}
