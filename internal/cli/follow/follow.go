// Package follow waits for what the operator says of a JwtConsumer.
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

// interval is how often the status is looked at.
const interval = 500 * time.Millisecond

// Look judges a consumer, and says whether there is nothing more to wait for. ready is its condition, made up where it has none yet.
type Look func(consumer *v1alpha1.JwtConsumer, ready *metav1.Condition) (done bool, err error)

// Consumer looks at a consumer again and again until look is done or the timeout is over; late is then what the error begins with. An API server that is away
// for a moment is asked again.
func Consumer(ctx context.Context, kube client.Reader, key client.ObjectKey, timeout time.Duration, late string, look Look) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var said string
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		consumer := &v1alpha1.JwtConsumer{}
		err := kube.Get(ctx, key, consumer)
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return false, err
		}
		if err != nil {
			said = err.Error()
			return false, nil
		}
		ready := meta.FindStatusCondition(consumer.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			ready = &metav1.Condition{Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonProgressing, Message: "no operator has looked at it yet"}
		}
		said = Said(ready)
		return look(consumer, ready)
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s; last: %s", late, output.OrNone(said))
	}
	return err
}

// Said is what a condition says, in one line.
func Said(condition *metav1.Condition) string {
	return output.Line(condition.Reason + ": " + condition.Message)
}
