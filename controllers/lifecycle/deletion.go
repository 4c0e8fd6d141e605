package lifecycle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// explainDeletion adds to what a deleted resource waits for how to let it go without Kong: one that is gone for good
// never answers.
func explainDeletion(object v1alpha1.GatewayUser, err error) error {
	var wait *status.WaitError
	if !errors.As(err, &wait) || wait.Quiet ||
		wait.Reason != v1alpha1.ReasonKongUnreachable && wait.Reason != v1alpha1.ReasonGatewayNotReady {
		return err
	}
	explained := *wait
	explained.Message = fmt.Sprintf("%s. It is deleted once Kong has let go of it. Where this Kong is gone for good, "+
		`kubectl patch %s -n %s %s --type=merge -p '{"metadata":{"finalizers":null}}' deletes it without Kong.`,
		strings.TrimSuffix(wait.Message, "."), strings.ToLower(object.KindName()), object.GetNamespace(), object.GetName())
	return &explained
}
