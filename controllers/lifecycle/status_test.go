package lifecycle

import (
	"context"
	"errors"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/resolve"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// What comes beside a wait that says nothing new is told, and backs off.
func TestAFailureBesideAQuietWaitIsTold(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "john", UID: "john", Generation: 1}}
	kube := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(consumer).WithObjects(consumer).Build()
	life := New(kube, resolve.Gateways{Reader: kube}, events.NewFakeRecorder(10))
	quiet := status.Wait(time.Second, v1alpha1.ReasonProgressing, "connecting")
	quiet.Quiet = true
	for _, c := range []struct {
		err   error
		fails bool
		told  int
	}{{quiet, false, 0}, {errors.Join(quiet, errors.New("connection reset by peer")), true, 1}} {
		object := &v1alpha1.JwtConsumer{}
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(consumer), object); err != nil {
			t.Fatal(err)
		}
		result, err := life.WriteStatus(t.Context(), Outcome{Before: object.DeepCopy(), Object: object, Err: c.err})
		if fails := err != nil; fails != c.fails || !fails && result.RequeueAfter != time.Second {
			t.Errorf("%v: again after %s, %v", c.err, result.RequeueAfter, err)
		}
		if told := len(object.Status.Conditions); min(told, 1) != c.told {
			t.Errorf("%v: conditions %v", c.err, object.Status.Conditions)
		}
	}
}

// Thousands may be due at once, and what takes access away goes before them.
func TestWhatComesBackInTimeGoesBehindWhatWasChanged(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	deleted := metav1.Now()
	for name, c := range map[string]struct {
		change  func(*v1alpha1.JwtConsumer)
		err     error
		carries bool
	}{
		"a rotation that is due": {func(*v1alpha1.JwtConsumer) {}, status.Wait(time.Second, v1alpha1.ReasonProgressing, "due"), false},
		"a deletion that waits": {
			func(c *v1alpha1.JwtConsumer) {
				c.DeletionTimestamp, c.Finalizers = &deleted, []string{v1alpha1.Finalizer}
			},
			status.Wait(time.Second, v1alpha1.ReasonKongUnreachable, "away"), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "john", UID: "john", Generation: 1}}
			c.change(consumer)
			kube := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(consumer).WithObjects(consumer).Build()
			life := New(kube, resolve.Gateways{Reader: kube}, events.NewFakeRecorder(10))
			object := &v1alpha1.JwtConsumer{}
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(consumer), object); err != nil {
				t.Fatal(err)
			}
			result, err := life.WriteStatus(t.Context(), Outcome{Before: object.DeepCopy(), Object: object, Err: c.err})
			if keeps := result.Priority == nil; err != nil || result.RequeueAfter <= 0 || keeps != c.carries {
				t.Errorf("got %+v, %v", result, err)
			}
		})
	}
}

// The answer to a write of a status is lost, and the cache does not know of it yet: the resource must not go on to
// say what was true at that moment.
func TestAStatusWhoseAnswerWasLostIsWrittenAnew(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	lose, patches := false, 0
	kube := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.JwtConsumer{}).
		WithObjects(&v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "john", UID: "john", Generation: 1}}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(
			ctx context.Context, c client.Client, name string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption,
		) error {
			patches++
			err := c.SubResource(name).Patch(ctx, object, patch, options...)
			if lose {
				return errors.New("connection reset by peer")
			}
			return err
		}}).Build()
	life := New(kube, resolve.Gateways{Reader: kube}, events.NewFakeRecorder(10))
	read := func() *v1alpha1.JwtConsumer {
		t.Helper()
		consumer := &v1alpha1.JwtConsumer{}
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: "john"}, consumer); err != nil {
			t.Fatal(err)
		}
		return consumer
	}
	ready := func(c *v1alpha1.JwtConsumer) bool {
		return apimeta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionReady)
	}
	record := func(seen *v1alpha1.JwtConsumer, came error) (again bool, err error) {
		object := seen.DeepCopy()
		result, err := life.WriteStatus(t.Context(), Outcome{Before: seen.DeepCopy(), Object: object, Err: came})
		return result.RequeueAfter > 0, err
	}
	if _, err := record(read(), nil); err != nil {
		t.Fatal(err)
	}
	cached := read()
	lose = true
	if _, err := record(cached, status.Wait(0, v1alpha1.ReasonKongUnreachable, "Kong is away")); err == nil {
		t.Fatal("the answer was not lost")
	}
	lose = false
	if ready(read()) {
		t.Fatal("the write was not done")
	}

	if again, err := record(cached, nil); err != nil || !again {
		t.Errorf("what the cache says was believed: again %v, %v", again, err)
	}
	if again, err := record(read(), nil); err != nil || again || !ready(read()) {
		t.Errorf("again %v, %v, Ready %v", again, err, ready(read()))
	}
	before := patches
	if again, err := record(read(), nil); err != nil || again || patches != before {
		t.Errorf("again %v, %v, %d more patches where all is known", again, err, patches-before)
	}
}
