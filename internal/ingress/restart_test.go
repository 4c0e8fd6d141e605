package ingress

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/barrier"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// restarted is an engine whose former process deleted a KongConsumer and left its Secret; the barrier is never taken.
func restarted(t *testing.T, late time.Duration) (e *Engine, owner desired.Owner, deleted *atomic.Int64) {
	t.Helper()
	owner, deleted = desired.ConsumerOwner("n", "c"), &atomic.Int64{}
	s := objects.Settings{
		Scope: desired.Scope{Installation: "i", Gateway: "g"}, Class: "kong", Namespace: "system", Key: []byte("k"),
	}
	left, err := s.Of(desired.Set{Owner: owner, Entities: []kong.Entity{{
		Kind: kong.KindJWT, ID: "x", Fields: kong.Fields{"key": "k", "algorithm": "HS256", "secret": "s"},
	}}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := &unstructured.Unstructured{Object: left[0].Content}
	kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			var asked client.ListOptions
			asked.ApplyOptions(options)
			found, is := list.(*metav1.PartialObjectMetadataList)
			if is && found.Kind == "SecretList" && asked.LabelSelector.Matches(labels.Set(secret.GetLabels())) {
				found.Items = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{
					Name: secret.GetName(), Namespace: secret.GetNamespace(), Labels: secret.GetLabels(),
					Annotations: secret.GetAnnotations(),
				}}}
			}
			return nil
		},
		Delete: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.DeleteOption) error {
			if o.GetName() == secret.GetName() { // and no Secret of a barrier
				deleted.Add(1)
			}
			return nil
		},
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return nil
		},
	})
	connected, changed := make(chan struct{}, 1), make(chan struct{}, 100)
	e = Run(t.Context(), kube, Settings{Class: "kong", Namespace: "system", DriftInterval: time.Hour, Key: "k"},
		Pace{Look: time.Millisecond, Pace: barrier.Pace{Blame: time.Hour, Late: late}}, nil, engine.Start{
			Scope: s.Scope, Now: time.Now, Log: logr.Discard(), Pruned: func(kong.Kind) {},
			Notify: func(event engine.Event) {
				to := changed
				if event.Reason == engine.EventConnected {
					to = connected
				}
				select {
				case to <- struct{}{}:
				default:
				}
			},
		})
	<-connected
	for late == 0 && e.State().Reason != v1alpha1.ReasonAwaitingController {
		<-changed
	}
	return e, owner, deleted
}

func TestAfterARestartADeletionIsNotDoneBeforeTheFirstConfirmation(t *testing.T) {
	e, owner, deleted := restarted(t, time.Hour)
	if e.RevocationRemaining(owner) == 0 {
		t.Error("what a former process took away is taken for refused")
	}
	var wait *status.WaitError
	if err := e.Delete(t.Context(), owner); !errors.As(err, &wait) || wait.Quiet {
		t.Errorf("deleted: %v", err)
	}
	if err := e.Delete(t.Context(), desired.ConsumerOwner("n", "gone")); !errors.As(err, &wait) || !wait.Quiet {
		t.Errorf("of one of whom nothing is left: %v", err)
	}
	if deleted.Load() > 0 {
		t.Error("the Secret is gone, and with it the sign that its token may be accepted")
	}
}

func TestAfterARestartARevocationIsPendingWhereSomethingIsLeftThatNobodyWants(t *testing.T) {
	e, owner, _ := restarted(t, 0)
	var wait *status.WaitError
	if err := e.Delete(t.Context(), owner); !errors.As(err, &wait) || wait.Reason != v1alpha1.ReasonRevocationPending {
		t.Errorf("%v", err)
	}
	other := desired.ConsumerOwner("n", "other")
	_, err := e.program(t.Context(), other, aim{}, nil)
	if !errors.As(err, &wait) || wait.Reason != v1alpha1.ReasonAwaitingController {
		t.Errorf("of one from whom nothing was taken: %v", err)
	}
	e.held.Withdrew(other, e.barrier.Wrote())
	_, err = e.program(t.Context(), other, aim{}, nil)
	if !errors.As(err, &wait) || wait.Reason != v1alpha1.ReasonRevocationPending {
		t.Errorf("of one from whom this process took something: %v", err)
	}
}

func TestARouteIsKnownToBeGuardedThoughTheSeedOfTheSealsIsLost(t *testing.T) {
	former, _, _ := pushing(t)
	route := exposed(t, former, "/admin")[1]
	guarded := former.objects.Guard(route)
	for name, c := range map[string]struct {
		live    map[string]any
		guarded bool
	}{"guarded": {guarded.Content, true}, "open": {route.Content, false}} {
		u := &unstructured.Unstructured{Object: c.live}
		kube := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
			List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, _ ...client.ListOption) error {
				if found, is := list.(*metav1.PartialObjectMetadataList); is && found.Kind == "IngressList" {
					found.Items = []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{
						Name: u.GetName(), Namespace: u.GetNamespace(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(),
					}}}
				}
				return nil
			},
			Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
				is, _ := o.(*unstructured.Unstructured) // nothing else is read
				u.DeepCopyInto(is)
				return nil
			},
		})
		now := former.objects
		now.Key = []byte("another")
		found, err := cluster{kube}.list(t.Context(), now)
		if err != nil || len(found) != 1 || found[0].Guarded != c.guarded || found[0].Owner != route.Owner {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
