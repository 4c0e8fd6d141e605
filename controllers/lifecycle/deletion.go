package lifecycle

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// explainDeletion adds to what a deleted resource waits for how to let it go without Kong: one that is gone for good
// never answers. Quiet waits are left
// alone: they are not written into the status.
func explainDeletion(object v1alpha1.GatewayUser, err error) error {
	var wait *status.WaitError
	var stalled *status.StalledError
	switch {
	case errors.As(err, &stalled) && status.AwaitsGateway(stalled.Reason):
		explained := *stalled
		explained.Message = withoutKong(object, stalled.Message)
		return &explained
	case errors.As(err, &wait) && status.AwaitsGateway(wait.Reason) && !wait.Quiet:
		explained := *wait
		explained.Message = withoutKong(object, wait.Message)
		return &explained
	}
	return err
}

// withoutKong adds to a message of a deletion that waits how the resource goes without Kong.
func withoutKong(object v1alpha1.GatewayUser, message string) string {
	return fmt.Sprintf("%s. It is deleted once Kong has let go of it. Where this Kong is gone for good, "+
		`kubectl patch %s -n %s %s --type=merge -p '{"metadata":{"finalizers":null}}' deletes it without Kong.`,
		strings.TrimSuffix(message, "."), strings.ToLower(object.KindName()), object.GetNamespace(), object.GetName())
}
