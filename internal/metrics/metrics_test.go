package metrics

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var now = time.Unix(1_000_000, 0)

func closed() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func at(offset time.Duration) *metav1.Time {
	t := metav1.NewTime(now.Add(offset))
	return &t
}

func conditions(ready metav1.ConditionStatus, reason string, stalled bool) []metav1.Condition {
	list := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: reason}}
	if stalled {
		list = append(list, metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason})
	}
	return list
}

// objects are resources of every kind in several states.
func objects() []client.Object {
	trust, distrust := true, false
	return []client.Object{
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "up"}, Status: v1alpha1.KongGatewayStatus{
			Conditions: conditions(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, false), KongVersion: "3.9.3", Mode: v1alpha1.ModeDatabase,
			Managed: &v1alpha1.ManagedEntities{Consumers: 2, Credentials: 3, Groups: 4, Services: 5, Routes: 6, Plugins: 7}, Orphaned: 8,
		}},
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "away"}, Status: v1alpha1.KongGatewayStatus{
			Conditions: conditions(metav1.ConditionFalse, v1alpha1.ReasonKongUnreachable, false),
		}},
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "paused"}, Status: v1alpha1.KongGatewayStatus{
			Conditions: append(conditions(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, false),
				metav1.Condition{Type: v1alpha1.ConditionSuspended, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSuspended}),
		}},
		&v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: "new"}},
		&v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "rotating"}, Spec: gateway("up"), Status: v1alpha1.JwtConsumerStatus{
			Conditions: conditions(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, false),
			Credentials: []v1alpha1.CredentialStatus{
				{Name: "p", State: v1alpha1.CredentialActive, Revision: 2, IssueTime: at(-time.Hour), RotationTime: at(time.Hour), Verified: &trust},
				{Name: "p", State: v1alpha1.CredentialRetiring, Revision: 1, IssueTime: at(-100 * time.Hour), RotationTime: at(-time.Hour), Verified: &distrust},
			},
		}},
		&v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "held"}, Spec: gateway("up"), Status: v1alpha1.JwtConsumerStatus{
			Conditions: conditions(metav1.ConditionFalse, v1alpha1.ReasonConflict, true),
			Drift:      make([]v1alpha1.DriftedEntity, 2),
		}},
		// What is revoked or suspended is not rotated, and so never late.
		idle("revoked", func(spec *v1alpha1.JwtConsumerSpec) { spec.Revoked = true }), idle("suspended", func(spec *v1alpha1.JwtConsumerSpec) { spec.Suspend = true }),
		&v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "waits"},
			Spec: v1alpha1.JwtProtectedServiceSpec{GatewayRef: v1alpha1.GatewayReference{Name: "away"}},
			Status: v1alpha1.JwtProtectedServiceStatus{
				Conditions: conditions(metav1.ConditionFalse, v1alpha1.ReasonGatewayNotReady, false), Drift: make([]v1alpha1.DriftedEntity, 1),
			}},
		token("fresh", time.Minute, time.Hour), token("overdue", -time.Minute, time.Hour), token("expired", -time.Hour, -time.Minute),
	}
}

// idle is a consumer whose rotation is due and does not take place.
func idle(name string, set func(*v1alpha1.JwtConsumerSpec)) *v1alpha1.JwtConsumer {
	consumer := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: name}, Spec: gateway("up"), Status: v1alpha1.JwtConsumerStatus{
		Conditions:  conditions(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, false),
		Credentials: []v1alpha1.CredentialStatus{{Name: "p", State: v1alpha1.CredentialPending, IssueTime: at(-1000 * time.Hour), RotationTime: at(-100 * time.Hour)}},
	}}
	set(&consumer.Spec)
	return consumer
}

func gateway(name string) v1alpha1.JwtConsumerSpec {
	return v1alpha1.JwtConsumerSpec{GatewayRef: v1alpha1.GatewayReference{Name: name}}
}

func token(name string, renewal, expiry time.Duration) *v1alpha1.JwtToken {
	return &v1alpha1.JwtToken{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Status: v1alpha1.JwtTokenStatus{
		Conditions: conditions(metav1.ConditionTrue, v1alpha1.ReasonSucceeded, false), RenewalTime: at(renewal), ExpirationTime: at(expiry),
	}}
}

// newResources has seen the objects, each in a former state too, and one that is gone again.
func newResources(t *testing.T, leading <-chan struct{}) *Resources {
	t.Helper()
	r := NewResources(leading, func() time.Time { return now })
	handler := r.handler()
	for _, object := range objects() {
		object.SetUID(types.UID(fmt.Sprintf("%T/%s/%s", object, object.GetNamespace(), object.GetName())))
		former := reflect.New(reflect.TypeOf(object).Elem()).Interface().(client.Object)
		former.SetUID(object.GetUID())
		handler.OnAdd(former, true)
		handler.OnUpdate(former, object)
	}
	for uid, end := range map[types.UID]func(client.Object){
		"deleted": func(o client.Object) { handler.OnDelete(o) },
		"missed":  func(o client.Object) { handler.OnDelete(toolscache.DeletedFinalStateUnknown{Obj: o}) },
		"replaced": func(o client.Object) {
			next := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{UID: "next"}}
			handler.OnUpdate(o, next)
			handler.OnDelete(next)
		},
	} {
		object := &v1alpha1.JwtConsumer{ObjectMeta: metav1.ObjectMeta{UID: uid}, Spec: gateway("gone")}
		handler.OnAdd(object, false)
		end(object)
	}
	return r
}

const summedUp = `
# HELP kongjwt_credential_next_rotation_timestamp_seconds When the next rotation is due. In the past: it is overdue.
# TYPE kongjwt_credential_next_rotation_timestamp_seconds gauge
kongjwt_credential_next_rotation_timestamp_seconds{gateway="up"} 1.0036e+06
# HELP kongjwt_credential_oldest_issue_timestamp_seconds When the oldest material in use was made, or first seen.
# TYPE kongjwt_credential_oldest_issue_timestamp_seconds gauge
kongjwt_credential_oldest_issue_timestamp_seconds{gateway="up"} 996400
# HELP kongjwt_credentials Credentials by state.
# TYPE kongjwt_credentials gauge
kongjwt_credentials{gateway="up",state="Active"} 1
kongjwt_credentials{gateway="up",state="Pending"} 2
kongjwt_credentials{gateway="up",state="Retiring"} 1
# HELP kongjwt_credentials_verified Credentials that were looked for on the data planes, by whether all of them accept it.
# TYPE kongjwt_credentials_verified gauge
kongjwt_credentials_verified{gateway="up",verified="false"} 1
kongjwt_credentials_verified{gateway="up",verified="true"} 1
# HELP kongjwt_drifted_entities Entities in Kong that somebody else changed, and that stay so because spec.drift.policy is Report.
# TYPE kongjwt_drifted_entities gauge
kongjwt_drifted_entities{gateway="away"} 1
kongjwt_drifted_entities{gateway="new"} 0
kongjwt_drifted_entities{gateway="paused"} 0
kongjwt_drifted_entities{gateway="up"} 2
# HELP kongjwt_gateway_info 1, with the version of Kong and how it keeps its configuration.
# TYPE kongjwt_gateway_info gauge
kongjwt_gateway_info{gateway="up",mode="Database",version="3.9.3"} 1
# HELP kongjwt_gateway_ready 1 where the Admin API answers and is programmed, else 0. Suspended gateways are left out.
# TYPE kongjwt_gateway_ready gauge
kongjwt_gateway_ready{gateway="away"} 0
kongjwt_gateway_ready{gateway="up"} 1
# HELP kongjwt_managed_entities Entities in Kong that are this operator's, by kind.
# TYPE kongjwt_managed_entities gauge
kongjwt_managed_entities{gateway="up",kind="acls"} 4
kongjwt_managed_entities{gateway="up",kind="consumers"} 2
kongjwt_managed_entities{gateway="up",kind="jwts"} 3
kongjwt_managed_entities{gateway="up",kind="plugins"} 7
kongjwt_managed_entities{gateway="up",kind="routes"} 6
kongjwt_managed_entities{gateway="up",kind="services"} 5
# HELP kongjwt_orphaned_entities Entities in Kong that belong to resources that are gone, and that are not pruned.
# TYPE kongjwt_orphaned_entities gauge
kongjwt_orphaned_entities{gateway="up"} 8
# HELP kongjwt_resources Custom resources by kind, state (ready, reconciling, stalled, suspended, new) and the reason of Ready.
# TYPE kongjwt_resources gauge
kongjwt_resources{gateway="",kind="JwtToken",reason="Succeeded",state="ready"} 3
kongjwt_resources{gateway="away",kind="JwtProtectedService",reason="GatewayNotReady",state="reconciling"} 1
kongjwt_resources{gateway="away",kind="KongGateway",reason="KongUnreachable",state="reconciling"} 1
kongjwt_resources{gateway="new",kind="KongGateway",reason="",state="new"} 1
kongjwt_resources{gateway="paused",kind="KongGateway",reason="Suspended",state="suspended"} 1
kongjwt_resources{gateway="up",kind="JwtConsumer",reason="Conflict",state="stalled"} 1
kongjwt_resources{gateway="up",kind="JwtConsumer",reason="Succeeded",state="ready"} 3
kongjwt_resources{gateway="up",kind="KongGateway",reason="Succeeded",state="ready"} 1
# HELP kongjwt_token_earliest_expiration_timestamp_seconds When the first of the signed tokens expires.
# TYPE kongjwt_token_earliest_expiration_timestamp_seconds gauge
kongjwt_token_earliest_expiration_timestamp_seconds 999940
# HELP kongjwt_tokens Signed tokens by state: fresh, overdue (to be renewed by now), expired.
# TYPE kongjwt_tokens gauge
kongjwt_tokens{state="expired"} 1
kongjwt_tokens{state="fresh"} 1
kongjwt_tokens{state="overdue"} 1
`

func TestResourcesAreSummedUp(t *testing.T) {
	NewWithT(t).Expect(testutil.CollectAndCompare(newResources(t, closed()), strings.NewReader(summedUp))).To(Succeed())
}

func TestResourcesAreToldByTheLeaderAlone(t *testing.T) {
	NewWithT(t).Expect(testutil.CollectAndCount(newResources(t, make(chan struct{})))).To(BeZero())
}

func TestEngineCounts(t *testing.T) {
	g := NewWithT(t)
	engine := NewEngine()
	engine.Observe("eu", kong.Observation{Verb: "PUT", Kind: kong.KindJWT, Code: 200, Duration: 20 * time.Millisecond})
	engine.Observe("eu", kong.Observation{Verb: "PUT", Kind: kong.KindJWT, Duration: time.Second})
	for _, name := range []string{"drift_total", "pruned_total"} {
		g.Expect(testutil.CollectAndCount(engine, Prefix+name)).To(Equal(len(kong.Kinds())), "%s is there before it counts", name)
	}
	engine.Drifted("eu", kong.KindJWT)
	g.Expect(testutil.ToFloat64(engine.requests.WithLabelValues("eu", "PUT", "jwts", "200"))).To(Equal(1.0))
	g.Expect(testutil.ToFloat64(engine.requests.WithLabelValues("eu", "PUT", "jwts", "none"))).To(Equal(1.0))
	g.Expect(testutil.ToFloat64(engine.drift.WithLabelValues("eu", "jwts"))).To(Equal(1.0))
	g.Expect(testutil.CollectAndCount(engine, Prefix+"admin_api_request_duration_seconds")).To(Equal(1))
}

func TestRotationsAreCountedByTheirSteps(t *testing.T) {
	g := NewWithT(t)
	rotations := NewRotations(closed())
	steps := [][]v1alpha1.CredentialStatus{
		nil,
		{{Name: "p", Revision: 1, State: v1alpha1.CredentialActive}},
		{{Name: "p", Revision: 1, State: v1alpha1.CredentialActive}, {Name: "p", Revision: 2, State: v1alpha1.CredentialPending}},
		{{Name: "p", Revision: 1, State: v1alpha1.CredentialRetiring}, {Name: "p", Revision: 2, State: v1alpha1.CredentialActive}},
		{{Name: "p", Revision: 2, State: v1alpha1.CredentialActive}},
	}
	expected := []map[string]float64{{}, {rotationStarted: 1}, {rotationStarted: 1, rotationActive: 1}, {rotationStarted: 1, rotationActive: 1, rotationCompleted: 1}}
	consumer := func(credentials []v1alpha1.CredentialStatus) *v1alpha1.JwtConsumer {
		return &v1alpha1.JwtConsumer{Spec: gateway("eu"), Status: v1alpha1.JwtConsumerStatus{Credentials: credentials}}
	}
	rotations.begin("eu")
	g.Expect(testutil.CollectAndCount(rotations)).To(Equal(3), "they are there before they count")
	for i := range expected {
		rotations.changed(consumer(steps[i]), consumer(steps[i+1]))
		rotations.changed(consumer(steps[i+1]), consumer(steps[i+1]))
		for _, outcome := range []string{rotationStarted, rotationActive, rotationCompleted} {
			g.Expect(testutil.ToFloat64(rotations.counter.WithLabelValues("eu", outcome))).To(Equal(expected[i][outcome]), "%s after step %d", outcome, i)
		}
	}
}

func TestNamesAreWhatPrometheusExpects(t *testing.T) {
	g := NewWithT(t)
	registry := prometheus.NewPedanticRegistry()
	engine, rotations := NewEngine(), NewRotations(closed())
	engine.Observe("eu", kong.Observation{Verb: "GET", Kind: kong.KindJWT, Code: 200})
	engine.Drifted("eu", kong.KindJWT)
	rotations.counter.WithLabelValues("eu", rotationStarted).Inc()
	registry.MustRegister(engine, rotations, newResources(t, closed()))
	problems, err := testutil.GatherAndLint(registry)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
}
