package crds

import (
	"encoding/json"
	"strings"
	"testing"
)

// badDurations are what Go cannot read, and what no field may be.
var badDurations = []string{"30d", "", "1", "-5m", "1h30", "1e3s", "9999999999h", "h", "1 h", "999999999h"}

// durationField is a field that holds a duration. One that Go cannot read would fail the whole list that an informer asks for.
type durationField struct {
	kind, patch, path string
	// bounds is what the field says of its own bounds; under and over are the nearest values beyond them.
	bounds, under, over string
}

const (
	upstreamBounds = "from 1ms to 24h"
	yearAtMost     = "at most 8760h"
)

func durationFields() []durationField {
	return []durationField{
		{"KongGateway", `{"spec": {"adminAPI": {"timeout": %}}}`, "spec.adminAPI.timeout", "from 100ms to 5m", "99ms", "301s"},
		{"KongGateway", `{"spec": {"drift": {"interval": %}}}`, "spec.drift.interval", "from 5s to 24h", "4s", "1441m"},
		{"JwtConsumer", credential(`"generate": {"secretName": "g", "rotation": {"interval": %}}`), "spec.credentials[0].generate.rotation.interval", "from 1m to 43800h", "59s", "43801h"},
		{"JwtConsumer", credential(`"generate": {"secretName": "g", "rotation": {"interval": "9000h", "overlap": %}}`), "spec.credentials[0].generate.rotation.overlap", yearAtMost, "", "8761h"},
		{"JwtConsumer", credential(`"secretRef": {"name": "s", "dataKeys": {"key": "k"}, "overlap": %}`), "spec.credentials[0].secretRef.overlap", yearAtMost, "", "8761h"},
		{"JwtConsumer", credential(`"jwks": {"url": "https://i.example.com", "refreshInterval": %}`), "spec.credentials[0].jwks.refreshInterval", "from 30s to 24h", "29s", "1441m"},
		{"JwtConsumer", credential(`"jwks": {"url": "https://i.example.com", "overlap": %}`), "spec.credentials[0].jwks.overlap", yearAtMost, "", "8761h"},
		{"JwtProtectedService", `{"spec": {"upstream": {"connectTimeout": %}}}`, "spec.upstream.connectTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"upstream": {"readTimeout": %}}}`, "spec.upstream.readTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"upstream": {"writeTimeout": %}}}`, "spec.upstream.writeTimeout", upstreamBounds, "0ms", "1441m"},
		{"JwtProtectedService", `{"spec": {"rateLimit": {"minute": 1, "policy": "redis", "redis": {"host": "r", "timeout": %}}}}`, "spec.rateLimit.redis.timeout", "from 1ms to 1m", "0ms", "61s"},
		{"JwtToken", `{"spec": {"ttl": %}}`, "spec.ttl", "from 10s to 8760h", "9s", "8761h"},
		{"JwtToken", `{"spec": {"renewBefore": %}}`, "spec.renewBefore", "from 1s to 8760h", "999ms", "8761h"},
	}
}

func TestEveryDurationFieldRefusesWhatGoCannotRead(t *testing.T) {
	kube := newClient(t)
	fields := durationFields()
	if known := countDurations(t); known != len(fields) {
		t.Errorf("the schemas have %d duration fields, and %d are tested here: add what is missing", known, len(fields))
	}
	for _, f := range fields {
		refuses := func(value, says string) {
			t.Run(f.path+" "+value, func(t *testing.T) {
				wantRefused(t, kube.Create(t.Context(), object(t, f.kind, f.with(t, value))), f.path, says)
			})
		}
		for _, bad := range badDurations {
			refuses(bad, "")
		}
		refuses("87601h", "at most 87600h")
		refuses(f.over, f.bounds)
		if f.under != "" {
			refuses(f.under, f.bounds)
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
