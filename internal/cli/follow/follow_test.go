package follow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/clitest"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/follow"
)

var key = client.ObjectKey{Namespace: "default", Name: "john"}

func john() *v1alpha1.JwtConsumer {
	return &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
}

func soon() time.Time { return time.Now().Add(time.Minute) }

// failing is a cluster whose first answers are errors.
func failing(t *testing.T, failures ...error) client.Reader {
	s := clitest.New(t, &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})
	return interceptor.NewClient(s.Client, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
		if len(failures) > 0 {
			err := failures[0]
			failures = failures[1:]
			return err
		}
		return c.Get(ctx, key, o, opts...)
	}})
}

func TestAnAPIServerThatIsAwayIsAskedAgain(t *testing.T) {
	looks := 0
	err := follow.Until(t.Context(), failing(t, errors.New("connection refused")), john(), soon(), "late", func(*v1alpha1.JwtConsumer, *metav1.Condition) (bool, error) {
		looks++
		return true, nil
	})
	if err != nil || looks != 1 {
		t.Errorf("%v after %d looks", err, looks)
	}
}

func TestARightThatIsMissingEndsIt(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "jwtconsumers"}, "john", errors.New("no right"))
	err := follow.Until(t.Context(), failing(t, forbidden), john(), soon(), "late", nil)
	if !apierrors.IsForbidden(err) {
		t.Errorf("%v", err)
	}
}

func TestTheEndSaysWhatWasSaidLast(t *testing.T) {
	err := follow.Until(t.Context(), failing(t), john(), time.Now().Add(10*time.Millisecond), "it is late", func(*v1alpha1.JwtConsumer, *metav1.Condition) (bool, error) { return false, nil })
	if err == nil || !strings.HasPrefix(err.Error(), "it is late; last: Progressing: no operator has looked at it yet") {
		t.Errorf("%v", err)
	}
}

// An API server that went away is told, and what the resource said before is kept.
func TestTheLastThingKnownIsKept(t *testing.T) {
	s := clitest.New(t, john())
	looks := 0
	away := interceptor.NewClient(s.Client, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if looks++; looks > 1 {
				return errors.New("rate: Wait(n=1) would exceed context deadline")
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	err := follow.Until(t.Context(), away, john(), time.Now().Add(600*time.Millisecond), "late",
		func(*v1alpha1.JwtConsumer, *metav1.Condition) (bool, error) { return false, nil })
	if err == nil || !strings.HasPrefix(err.Error(), "late; last: Progressing: no operator has looked at it yet; the API server did not answer then") {
		t.Errorf("%v", err)
	}
}
