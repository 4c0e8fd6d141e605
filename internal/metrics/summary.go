package metrics

import (
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// States of a resource, by kstatus.
const (
	stateReady       = "ready"
	stateReconciling = "reconciling"
	stateStalled     = "stalled"
	stateSuspended   = "suspended"
	stateNew         = "new" // no controller has looked at it yet
)

// resourceKey is a group of resources that fare alike.
type resourceKey struct{ gateway, kind, state, reason string }

// credentialKey is a group of credentials.
type credentialKey struct{ gateway, state string }

// summary is what a list of resources amounts to.
type summary struct {
	now         time.Time
	gateways    []*v1alpha1.KongGateway
	resources   map[resourceKey]int
	credentials map[credentialKey]int
	// drifted counts what somebody else changed and what is left so.
	drifted map[string]int
	// unverified counts the credentials that some data plane was seen not to accept, and verified those that all
	// do.
	verified, unverified map[string]int
	// oldest is when the material in use that is oldest was made; next is when the rotation that is due first is
	// due.
	oldest, next map[string]time.Time
	// tokens are counted by whether their renewal is behind.
	tokens map[string]int
	// expiry is when the first token expires.
	expiry time.Time
}

// States of a token.
const (
	tokenFresh   = "fresh"
	tokenOverdue = "overdue"
	tokenExpired = "expired"
)

func newSummary(now time.Time) *summary {
	return &summary{
		now: now, resources: map[resourceKey]int{}, credentials: map[credentialKey]int{}, drifted: map[string]int{},
		verified: map[string]int{}, unverified: map[string]int{},
		oldest: map[string]time.Time{}, next: map[string]time.Time{},
		tokens: map[string]int{tokenFresh: 0, tokenOverdue: 0, tokenExpired: 0},
	}
}

// add counts a resource by how it fares, and what its kind alone has.
func (s *summary) add(object v1alpha1.Resource) {
	gateway := object.GatewayName()
	if user, isUser := object.(v1alpha1.GatewayUser); isUser {
		s.drifted[gateway] += len(*user.GetDrift())
	}
	if object, isGateway := object.(*v1alpha1.KongGateway); isGateway {
		s.gateways = append(s.gateways, object)
		s.drifted[gateway] += 0
	}
	if consumer, isConsumer := object.(*v1alpha1.JwtConsumer); isConsumer {
		s.consumer(consumer)
	}
	if token, isToken := object.(*v1alpha1.JwtToken); isToken {
		gateway = "" // a token is no part of a gateway
		s.token(token)
	}
	state, reason := fares(*object.GetConditions())
	s.resources[resourceKey{gateway, object.KindName(), state, reason}]++
}

func fares(conditions []metav1.Condition) (state, reason string) {
	ready := apimeta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	switch {
	case apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionSuspended):
		return stateSuspended, v1alpha1.ReasonSuspended
	case ready == nil:
		return stateNew, ""
	case ready.Status == metav1.ConditionTrue:
		return stateReady, ready.Reason
	case apimeta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled):
		return stateStalled, ready.Reason
	default:
		return stateReconciling, ready.Reason
	}
}

// consumer counts the credentials of a consumer.
func (s *summary) consumer(consumer *v1alpha1.JwtConsumer) {
	gateway := consumer.Spec.GatewayRef.Name
	for i := range consumer.Status.Credentials {
		held := &consumer.Status.Credentials[i]
		s.credentials[credentialKey{gateway, string(held.State)}]++
		if held.Verified != nil {
			count := s.unverified
			if *held.Verified {
				count = s.verified
			}
			count[gateway]++
		}
		if consumer.Spec.Suspend || consumer.Spec.Revoked || held.State == v1alpha1.CredentialRetiring {
			continue // it is not to be rotated
		}
		earlier(s.oldest, gateway, held.IssueTime)
		earlier(s.next, gateway, held.RotationTime)
	}
}

// token counts a token by its times.
func (s *summary) token(token *v1alpha1.JwtToken) {
	if token.Spec.Suspend || token.Status.ExpirationTime == nil {
		return
	}
	expires := token.Status.ExpirationTime.Time
	if s.expiry.IsZero() || expires.Before(s.expiry) {
		s.expiry = expires
	}
	state := tokenFresh
	switch {
	case !s.now.Before(expires):
		state = tokenExpired
	case token.Status.RenewalTime != nil && !s.now.Before(token.Status.RenewalTime.Time):
		state = tokenOverdue
	}
	s.tokens[state]++
}

func earlier(times map[string]time.Time, key string, candidate *metav1.Time) {
	if candidate == nil {
		return
	}
	if held, found := times[key]; !found || candidate.Time.Before(held) {
		times[key] = candidate.Time
	}
}
