package resolve

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Gateway is a KongGateway that a resource may be programmed on.
type Gateway struct {
	Engine engine.Programmer
	Scope  desired.Scope
	Policy desired.Policy
	// AsksDataPlanes says that the gateway names its data planes, so that they are asked what they hold.
	AsksDataPlanes bool
	// AsksEachDataPlane says that each of them is asked by an address of its own: behind a URL there may be
	// several.
	AsksEachDataPlane bool
	// ClaimsChecked is what the gateway's condition of that name says; nil where data planes are not asked.
	ClaimsChecked *metav1.Condition
	// EgressProxy is the way to issuers; nil where they are reached directly.
	EgressProxy *v1alpha1.EgressProxy
}

// Gateways finds the gateway of a resource.
type Gateways struct {
	Reader  client.Reader
	Engines *engine.Registry
	// ClusterDomain is the cluster's DNS domain.
	ClusterDomain string
	// InTurn says whether the users of a gateway were enqueued in their order since its engine came up; nil: it
	// does not matter.
	InTurn func(gateway string) bool
}

// turnPause is how long a resource waits that comes before its turn; it takes a moment until that is known.
const turnPause = time.Second

// AwaitTurn keeps a resource back until the users of its gateway, all of which look at once when an engine comes up,
// are in their order: who reads the operator's Secrets in another reads each by a request (secrets.Store.ReadAhead).
// The error is a *status.WaitError.
func (g Gateways) AwaitTurn(gateway string) error {
	if g.InTurn == nil || g.InTurn(gateway) {
		return nil
	}
	wait := status.Wait(turnPause, v1alpha1.ReasonGatewayNotReady, "KongGateway %s has just been connected", gateway)
	wait.Quiet = true
	return wait
}

// Resolve finds the gateway of a name, if it admits resources of the namespace and its engine runs.
func (g Gateways) Resolve(ctx context.Context, namespace, name string) (Gateway, error) {
	var object v1alpha1.KongGateway
	// As it is in the cache: all users of a gateway would else wait whenever its status is written. It is the cache's
	// own, and only read.
	err := g.Reader.Get(ctx, client.ObjectKey{Name: name}, &object, client.DisableReadYourWritesConsistency, client.UnsafeDisableDeepCopy)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return Gateway{}, status.Stalled(v1alpha1.ReasonGatewayNotFound,
				"spec.gatewayRef: KongGateway %s does not exist. Create it, or name another.", name)
		}
		return Gateway{}, fmt.Errorf("get KongGateway %s: %w", name, err)
	}
	admitted, err := Admits(ctx, g.Reader, &object, namespace)
	if err != nil {
		return Gateway{}, err
	}
	if !admitted {
		return Gateway{}, status.Stalled(v1alpha1.ReasonNamespaceNotAllowed,
			"spec.gatewayRef: KongGateway %s takes no resources of namespace %s. Ask for it in its spec.allowedNamespaces, or name another gateway.",
			name, namespace)
	}
	running, err := g.Engine(&object)
	if err != nil {
		return Gateway{}, err
	}
	policy := desired.NewPolicy(&object, g.ClusterDomain)
	policy.IsNamespace = func(name string) bool { return mayBeNamespace(ctx, g.Reader, name) }
	planes := object.Spec.DataPlanes
	return Gateway{
		Engine: running, Scope: running.Scope(), Policy: policy,
		AsksDataPlanes: planes != nil, AsksEachDataPlane: planes != nil && planes.ServiceRef != nil,
		ClaimsChecked: apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionClaimsChecked),
		EgressProxy:   object.Spec.EgressProxy.DeepCopy(),
	}, nil
}

// connectPause is how long a resource waits for an engine to be started, which takes a moment, until it looks why it
// was not.
const connectPause = 5 * time.Second

// Engine gives the running engine of a gateway, or what keeps it from running.
func (g Gateways) Engine(object *v1alpha1.KongGateway) (engine.Programmer, error) {
	if object.Spec.Suspend {
		return nil, status.Wait(0, v1alpha1.ReasonGatewayNotReady, "KongGateway %s is suspended", object.Name)
	}
	if !object.DeletionTimestamp.IsZero() {
		return nil, status.Wait(0, v1alpha1.ReasonGatewayNotReady, "KongGateway %s is being deleted", object.Name)
	}
	running, found := g.Engines.Get(object.Name)
	if found {
		return running, nil
	}
	stalled := apimeta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionStalled)
	if stalled != nil && stalled.ObservedGeneration == object.Generation && stalled.Reason != v1alpha1.ReasonKongUnreachable {
		return nil, status.Wait(0, v1alpha1.ReasonGatewayNotReady, "KongGateway %s cannot be used: %s", object.Name, stalled.Message)
	}
	wait := status.Wait(connectPause, v1alpha1.ReasonGatewayNotReady, "KongGateway %s is being connected", object.Name)
	wait.Quiet = true
	return nil, wait
}

// mayBeNamespace says whether the cluster has a namespace. One that cannot be read is taken for there: a host that
// leads into the cluster would be open else.
func mayBeNamespace(ctx context.Context, reader client.Reader, name string) bool {
	var found corev1.Namespace
	return !apierrors.IsNotFound(reader.Get(ctx, client.ObjectKey{Name: name}, &found))
}

// Admits says whether a gateway takes resources of a namespace.
func Admits(ctx context.Context, reader client.Reader, object *v1alpha1.KongGateway, namespace string) (bool, error) {
	if object.Spec.AllowedNamespaces.From != v1alpha1.NamespacesSelector {
		return desired.Admits(object.Spec.AllowedNamespaces, nil)
	}
	var ns corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
		return false, fmt.Errorf("get namespace %s: %w", namespace, err)
	}
	admitted, err := desired.Admits(object.Spec.AllowedNamespaces, ns.Labels)
	if err != nil {
		return false, status.Wait(0, v1alpha1.ReasonGatewayNotReady, "KongGateway %s cannot be used: spec.%v", object.Name, err)
	}
	return admitted, nil
}
