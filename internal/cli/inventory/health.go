package inventory

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Health is how a resource is, in one word.
type Health string

// The healths, the worst first.
const (
	// Stalled needs somebody to change something.
	Stalled Health = "Stalled"
	// NotSeen has a spec that no operator has looked at.
	NotSeen Health = "NotSeen"
	// Progressing is on its way, and gets there by itself.
	Progressing Health = "Progressing"
	// Deleting is on its way out.
	Deleting Health = "Deleting"
	// Warning works, and something about it deserves a look.
	Warning Health = "Warning"
	// Suspended is left alone, as its spec says.
	Suspended Health = "Suspended"
	// Ready works as its spec says.
	Ready Health = "Ready"
)

// Healths are all, the worst first.
func Healths() []Health {
	return []Health{Stalled, NotSeen, Progressing, Deleting, Warning, Suspended, Ready}
}

// Resource is one resource, and how it is.
type Resource struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Gateway   string `json:"gateway,omitempty"`
	Health    Health `json:"health"`
	// Reason and Message of the condition that Health comes from; Since is its last transition.
	Reason  string       `json:"reason,omitempty"`
	Message string       `json:"message,omitempty"`
	Since   *metav1.Time `json:"since,omitempty"`
	// Object is the resource itself.
	Object v1alpha1.Resource `json:"-"`
}

// Path is namespace/name, or the name of what has no namespace.
func (r Resource) Path() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// ID is what kubectl takes: jwtconsumer.kongjwt.dev/name.
func (r Resource) ID() string {
	return strings.ToLower(r.Kind) + "." + v1alpha1.GroupVersion.Group + "/" + r.Name
}

// Resources are all, the worst first, then by kind and name.
func (i *Inventory) Resources() []Resource {
	var all []Resource
	for _, resources := range []iter.Seq[v1alpha1.Resource]{
		(&v1alpha1.KongGatewayList{Items: i.Gateways}).Resources(), (&v1alpha1.JwtConsumerList{Items: i.Consumers}).Resources(),
		(&v1alpha1.JwtProtectedServiceList{Items: i.Services}).Resources(), (&v1alpha1.JwtTokenList{Items: i.Tokens}).Resources(),
	} {
		for resource := range resources {
			all = append(all, judge(resource))
		}
	}
	rank := map[Health]int{}
	for n, health := range Healths() {
		rank[health] = n
	}
	slices.SortStableFunc(all, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(rank[a.Health], rank[b.Health]), cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Kinds in the order in which trouble spreads: what a gateway lacks, all of its resources lack.
func Kinds() []string {
	var names []string
	for _, kind := range v1alpha1.ResourceKinds() {
		names = append(names, kind.Name)
	}
	return names
}

func kindRank(kind string) int { return slices.Index(Kinds(), kind) }

// warnings are the conditions that say, when they have this status, that something works and deserves a look.
var warnings = []struct {
	kind   string
	status metav1.ConditionStatus
}{
	{v1alpha1.ConditionFallbackOpens, metav1.ConditionTrue},
	{v1alpha1.ConditionClaimsBypassed, metav1.ConditionTrue},
	{v1alpha1.ConditionKeySetDegraded, metav1.ConditionTrue},
	{v1alpha1.ConditionWeakSecret, metav1.ConditionTrue},
	{v1alpha1.ConditionTTLTooLong, metav1.ConditionTrue},
	{v1alpha1.ConditionAccessIncomplete, metav1.ConditionTrue},
	{v1alpha1.ConditionRoutesIncomplete, metav1.ConditionTrue},
	{v1alpha1.ConditionAnyAudience, metav1.ConditionTrue},
	{v1alpha1.ConditionNoExpiry, metav1.ConditionTrue},
	{v1alpha1.ConditionVerified, metav1.ConditionFalse},
}

// judge reads conditions as kstatus does: Stalled and Reconciling first, and only for the generation that was
// observed.
func judge(object v1alpha1.Resource) Resource {
	r := Resource{Kind: object.KindName(), Namespace: object.GetNamespace(), Name: object.GetName(), Gateway: object.GatewayName(), Object: object}
	if object.GetNamespace() == "" {
		r.Gateway = "" // it is the gateway
	}
	conditions := *object.GetConditions()
	from := func(health Health, condition *metav1.Condition) Resource {
		r.Health, r.Reason, r.Message, r.Since = health, condition.Reason, condition.Message, &condition.LastTransitionTime
		return r
	}
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	stalled := meta.FindStatusCondition(conditions, v1alpha1.ConditionStalled)
	reconciling := meta.FindStatusCondition(conditions, v1alpha1.ConditionReconciling)
	suspended := meta.FindStatusCondition(conditions, v1alpha1.ConditionSuspended)
	switch {
	case ready == nil && stalled == nil && reconciling == nil && suspended == nil:
		r.Health, r.Message = NotSeen, "no operator has looked at it yet"
		return r
	case !object.GetDeletionTimestamp().IsZero():
		r.Health, r.Message, r.Since = Deleting, "it is being deleted", object.GetDeletionTimestamp()
		if ready != nil && ready.Reason == v1alpha1.ReasonDeleting {
			r.Reason, r.Message = ready.Reason, ready.Message
		}
		return r
	case *object.GetObservedGeneration() < object.GetGeneration():
		r.Health, r.Message = NotSeen, "the operator has not looked at the last change of it yet"
		return r
	case suspended != nil && suspended.Status == metav1.ConditionTrue:
		return from(Suspended, suspended)
	case stalled != nil && stalled.Status == metav1.ConditionTrue:
		return from(Stalled, stalled)
	case reconciling != nil && reconciling.Status == metav1.ConditionTrue:
		return from(Progressing, reconciling)
	case ready == nil || ready.Status != metav1.ConditionTrue:
		if ready == nil {
			r.Health = Progressing
			return r
		}
		return from(Progressing, ready)
	}
	for _, warning := range warnings {
		if c := meta.FindStatusCondition(conditions, warning.kind); c != nil && c.Status == warning.status {
			return from(Warning, c)
		}
	}
	if ready.Reason == v1alpha1.ReasonRevoked {
		return from(Warning, ready)
	}
	return from(Ready, ready)
}
