package crds

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// badDurations are what Go cannot read, and what no field may be.
var badDurations = []string{
	"30d", "", "1", "-5m", "1h30", "1e3s", "9999999999h", "h", "1 h", "999999999h", "87601h",
}

// durationField is a field that holds a duration.
type durationField struct {
	kind, patch, path string
	// bounds is what the field says of its own bounds; under and over are the nearest values beyond them.
	bounds, under, over string
}

const (
	upstreamBounds = "from 1ms to 24h"
	yearAtMost     = "from 0s to 8760h"
)

func durationFields() []durationField {
	return []durationField{
		{"KongGateway", `{"spec": {"adminAPI": {"timeout": %}}}`, "spec.adminAPI.timeout", "from 100ms to 5m", "99ms", "301s"},
		{"KongGateway", `{"spec": {"drift": {"interval": %}}}`, "spec.drift.interval", "from 5s to 24h", "4s", "1441m"},
		{"JwtConsumer", credential(`"generate": {"secretName": "g", "rotation": {"interval": %, "overlap": "1s"}}`), "spec.credentials[0].generate.rotation.interval", "from 1m to 43800h", "59s", "43801h"},
		{"JwtConsumer", credential(`"generate": {"secretName": "g", "rotation": {"interval": "9000h", "overlap": %}}`), "spec.credentials[0].generate.rotation.overlap", yearAtMost, "", "8761h"},
		{"JwtConsumer", credential(`"secretRef": {"name": "s", "dataKeys": {"key": "k"}, "overlap": %}`), "spec.credentials[0].secretRef.overlap", yearAtMost, "", "8761h"},
		{"JwtConsumer", credential(`"algorithm": null, "jwks": {"url": "https://i.example.com", "refreshInterval": %}`), "spec.credentials[0].jwks.refreshInterval", "from 30s to 24h", "29s", "1441m"},
		{"JwtConsumer", credential(`"algorithm": null, "jwks": {"url": "https://i.example.com", "overlap": %}`), "spec.credentials[0].jwks.overlap", yearAtMost, "", "8761h"},
		{"JwtProtectedService", `{"spec": {"upstream": {"connectTimeout": %}}}`, "spec.upstream.connectTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"upstream": {"readTimeout": %}}}`, "spec.upstream.readTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"upstream": {"writeTimeout": %}}}`, "spec.upstream.writeTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"jwt": {"claimsToVerify": ["exp"], "maximumExpiration": %}}}`, "spec.jwt.maximumExpiration", "from 1s to 8760h", "999ms", "8761h"},
		{"KongGateway", `{"spec": {"policy": {"redis": [{"name": "r", "host": "r", "timeout": %}]}}}`, "spec.policy.redis[0].timeout", "from 1ms to 1m", "0ms", "61s"},
		{"JwtProtectedService", checks(`"notIssuedInFuture": true, "clockSkew": %`), "spec.claims.clockSkew", "from 0s to 10m", "", "601s"},
		{"JwtToken", `{"spec": {"ttl": %, "renewBefore": "1s"}}`, "spec.ttl", "from 10s to 8760h", "9s", "8761h"},
		{"JwtToken", `{"spec": {"ttl": "8760h", "renewBefore": %}}`, "spec.renewBefore", "from 1s to 8760h", "999ms", "8761h"},
	}
}

// Every field of the Go types that is a Duration is tested here: a new one cannot be forgotten.
func TestEveryDurationFieldIsTested(t *testing.T) {
	var tested, known []string
	for _, f := range durationFields() {
		tested = append(tested, f.kind+" "+index.ReplaceAllString(f.path, ""))
	}
	for kind, spec := range map[string]any{
		"KongGateway": v1alpha1.KongGatewaySpec{}, "JwtConsumer": v1alpha1.JwtConsumerSpec{},
		"JwtProtectedService": v1alpha1.JwtProtectedServiceSpec{}, "JwtToken": v1alpha1.JwtTokenSpec{},
	} {
		known = append(known, durationsOf(kind+" spec", reflect.TypeOf(spec))...)
	}
	slices.Sort(tested)
	slices.Sort(known)
	if !slices.Equal(tested, known) {
		t.Errorf("tested are\n%q, and the types have\n%q", tested, known)
	}
}

func durationsOf(path string, of reflect.Type) (found []string) {
	switch {
	case of == reflect.TypeFor[v1alpha1.Duration]():
		return []string{path}
	case of.Kind() == reflect.Pointer, of.Kind() == reflect.Slice, of.Kind() == reflect.Map:
		return durationsOf(path, of.Elem())
	case of.Kind() != reflect.Struct || !strings.HasSuffix(of.PkgPath(), "/api/v1alpha1"):
		return nil
	}
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" {
			name = "." + name
		}
		found = append(found, durationsOf(path+name, field.Type)...)
	}
	return found
}

// A value that is no duration, or is out of bounds, is refused in one line, which says the bounds and how to write
// days.
func TestEveryDurationFieldRefusesInOneLine(t *testing.T) {
	kube := newClient(t)
	for _, f := range durationFields() {
		bad := append(slices.Clone(badDurations), f.over)
		if f.under != "" {
			bad = append(bad, f.under)
		}
		for _, value := range bad {
			t.Run(f.path+" "+value, func(t *testing.T) {
				err := kube.Create(t.Context(), object(t, f.kind, f.with(t, value)))
				wantRefused(t, err, f.path, f.bounds)
				var status apierrors.APIStatus
				if errors.As(err, &status) && len(status.Status().Details.Causes) != 1 {
					t.Errorf("got %d lines, want one: %v", len(status.Status().Details.Causes), err)
				}
			})
		}
	}
}

// What the schemas take, Go reads.
func TestDurationsAsGoWritesThem(t *testing.T) {
	kube := newClient(t)
	for _, value := range []string{"10s", "8760h", "1h30m", "90m", "1.5h", "10000ms", "2h0m1s500ms"} {
		token := object(t, "JwtToken", strings.ReplaceAll(`{"spec": {"ttl": "%"}}`, "%", value))
		if err := kube.Create(t.Context(), token); err != nil {
			t.Errorf("%s: %v", value, err)
		}
		if _, err := time.ParseDuration(value); err != nil {
			t.Error(err)
		}
	}
}

func (f durationField) with(t *testing.T, value string) string {
	t.Helper()
	quoted, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(f.patch, "%", string(quoted))
}
