// Package follow waits for what the operator says of a resource.
package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// interval is how often the status is looked at, request how long one look may take.
const (
	interval = 500 * time.Millisecond
	request  = 10 * time.Second
)

// Look judges a resource, and says whether there is nothing more to wait for. ready is its condition, made up where
// it has none yet.
type Look[R v1alpha1.Resource] func(resource R, ready *metav1.Condition) (done bool, err error)

// Until reads a resource again and again until look is done or the deadline is over; late is then what the error
// begins with, and what the resource said last its end. An API server that is away for a moment is asked again.
func Until[R v1alpha1.Resource](
	ctx context.Context, kube client.Reader, resource R, deadline time.Time, late string, look Look[R],
) error {
	kind, _ := v1alpha1.KindNamed(resource.KindName())
	key := client.ObjectKey{Namespace: resource.GetNamespace(), Name: resource.GetName()}
	bounded, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var said string
	var away error
	err := wait.PollUntilContextCancel(bounded, interval, true, func(context.Context) (bool, error) {
		// The deadline is not the request's: the client would rather refuse than be late, and its words say
		// nothing of the resource.
		one, done := context.WithTimeout(ctx, request)
		defer done()
		now := kind.New() // reading into what was read before would keep what is gone
		object, _ := now.(client.Object)
		away = kube.Get(one, key, object)
		if apierrors.IsNotFound(away) || apierrors.IsForbidden(away) || apierrors.IsUnauthorized(away) {
			return false, away
		}
		if away != nil {
			return false, nil
		}
		ready := Ready(now)
		said = Said(ready)
		typed, _ := now.(R)
		return look(typed, ready)
	})
	if err == nil || !errors.Is(bounded.Err(), context.DeadlineExceeded) {
		return err
	}
	text := late + "; last: " + output.OrNone(said)
	if away != nil {
		text += fmt.Sprintf("; the API server did not answer then: %v", away)
	}
	return errors.New(text)
}

// Ready is the resource's condition, made up where it has none yet.
func Ready(resource v1alpha1.Resource) *metav1.Condition {
	if ready := meta.FindStatusCondition(*resource.GetConditions(), v1alpha1.ConditionReady); ready != nil {
		return ready
	}
	return &metav1.Condition{
		Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonProgressing, Message: "no operator has looked at it yet",
	}
}

// Said is what a condition says, in one line.
func Said(condition *metav1.Condition) string {
	return output.Line(condition.Reason + ": " + condition.Message)
}
