package kong

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// replay makes the client's request for a recorded step against the recorded answer.
func replay(t *testing.T, s step) error {
	t.Helper()
	var headers []string
	for name, value := range s.Response.Headers {
		if name != "content-length" {
			headers = append(headers, name, value)
		}
	}
	fake := answering(t, s.Response.Status, string(s.Response.JSON), headers...)
	path, query, _ := strings.Cut(s.Request.Path, "?")
	kind, _, found := writtenKind(path)
	if !found {
		kind = KindConsumer
	}
	return connect(t, fake.URL).do(t.Context(), call{method: s.Request.Method, kind: kind, template: "/x", path: path, query: query}, s.Request.JSON, nil)
}

// Every refusal that was recorded has the type that it should, and repeats nothing that it should not.
func TestRecordedRefusals(t *testing.T) {
	checked := 0
	for _, s := range slices.Concat(recordedSteps(t, "admin-*.json"), recordedSteps(t, "dbless-*.json")) {
		err := replay(t, s)
		if s.Response.Status < 400 {
			if err != nil {
				t.Errorf("%s: %v", s.title(), err)
			}
			continue
		}
		checked++
		var want error
		switch s.Response.Status {
		case 400:
			want = &InvalidError{}
		case 404:
			want = &NotFoundError{}
		case 405:
			want = &UnsupportedError{}
		case 409:
			want = &ConflictError{}
		case 500:
			want = &UnavailableError{}
		}
		if got := reflect.TypeOf(err); got != reflect.TypeOf(want) {
			t.Errorf("%s: %v, want %T", s.title(), err, want)
		}
		message := object(t, s.Response.JSON)["message"].(string)
		if strings.Contains(err.Error(), message) && message != "Not found" {
			t.Errorf("%s: Kong's message is repeated: %v", s.title(), err)
		}
	}
	if checked < 40 {
		t.Errorf("only %d refusals", checked)
	}
}

func TestInvalidErrorsKeepTheHelpfulText(t *testing.T) {
	cases := []struct {
		file, step string
		code       int
		fields     map[string]string
	}{
		{"admin-services.json", "two faults at once", CodeSchemaViolation, map[string]string{
			"host": "required field missing", "port": "expected an integer", "retries": "value should be between 0 and 32767"}},
		{"admin-services.json", "invalid JSON", 0, map[string]string{}},
		{"admin-services.json", "bad name", CodeSchemaViolation, map[string]string{
			"name": "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~"}},
		{"admin-routes.json", "path without slash", CodeSchemaViolation, map[string]string{
			"paths[0]": "should start with: / (fixed path) or ~/ (regex path)"}},
		{"admin-routes.json", "bad method", CodeSchemaViolation, map[string]string{"methods[0]": "invalid value: get it"}},
		{"admin-routes.json", "nothing to match on", CodeSchemaViolation, map[string]string{
			"@entity": "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"}},
		{"admin-routes.json", "service that is not there", CodeForeignKey, map[string]string{"service": "does not exist"}},
		{"admin-routes.json", "the service has routes and cannot go", CodeForeignKey, map[string]string{"@referenced_by": "routes"}},
		{"admin-plugins.json", "claim that cannot be verified", CodeSchemaViolation, map[string]string{
			"config.claims_to_verify[0]": "expected one of: exp, nbf"}},
		{"admin-plugins.json", "maximum_expiration with nbf alone", CodeSchemaViolation, map[string]string{
			"@entity":                 "failed conditional validation given value of field 'config.maximum_expiration'",
			"config.claims_to_verify": "expected to contain: exp"}},
		{"admin-plugins.json", "rate-limiting, limits out of order", CodeSchemaViolation, map[string]string{
			"config": "The limit for hour(10.0) cannot be lower than the limit for minute(50.0)"}},
		{"admin-plugins.json", "acl with neither", CodeSchemaViolation, map[string]string{
			"@entity": "exactly one of these fields must be non-empty: 'config.allow', 'config.deny'; " +
				"at least one of these fields must be non-empty: 'config.allow', 'config.deny'"}},
		{"admin-jwt-credentials.json", "RS256 with no key at all in the field", CodeSchemaViolation, map[string]string{
			"@entity": "failed conditional validation given value of field 'algorithm'", "rsa_public_key": "invalid key"}},
		{"admin-lists.json", "mixed", CodeInvalidOptions, map[string]string{"tags": "invalid filter syntax"}},
		{"admin-lists.json", "a false offset", CodeInvalidOffset, map[string]string{}},
	}
	for _, c := range cases {
		t.Run(c.step, func(t *testing.T) {
			found := false
			for _, s := range recordedSteps(t, c.file) {
				if s.Name != c.step {
					continue
				}
				found = true
				var invalid *InvalidError
				if err := replay(t, s); !errors.As(err, &invalid) {
					t.Fatalf("%v", err)
				}
				if invalid.Code != c.code || !maps.Equal(invalid.Fields, c.fields) {
					t.Errorf("code %d, fields %q", invalid.Code, invalid.Fields)
				}
				if invalid.Method != s.Request.Method || invalid.Status != 400 || invalid.Path != "/x" {
					t.Errorf("%+v", invalid.Request)
				}
			}
			if !found {
				t.Error("not recorded")
			}
		})
	}
}

func TestConflictsNameTheFields(t *testing.T) {
	cases := []struct {
		file, step string
		fields     []string
	}{
		{"admin-consumers.json", "same custom_id", []string{"custom_id"}},
		{"admin-acls.json", "again", []string{"consumer", "group"}},
		{"admin-plugins.json", "jwt twice on a service", []string{"name", "service"}},
		{"admin-jwt-credentials.json", "upsert by id, the key is another's", []string{"key"}},
	}
	for _, c := range cases {
		for _, s := range recordedSteps(t, c.file) {
			if s.Name != c.step {
				continue
			}
			var conflict *ConflictError
			if err := replay(t, s); !errors.As(err, &conflict) || !slices.Equal(conflict.Fields, c.fields) {
				t.Errorf("%s: %v", s.title(), err)
			}
		}
	}
}

func TestStatuses(t *testing.T) {
	cases := []struct {
		status int
		want   error
	}{
		{301, &UnavailableError{}}, {307, &UnavailableError{}}, {401, &UnauthorizedError{}}, {403, &UnauthorizedError{}},
		{405, &UnsupportedError{}}, {408, &UnavailableError{}}, {413, &InvalidError{}}, {429, &ThrottledError{}},
		{500, &UnavailableError{}}, {502, &UnavailableError{}}, {503, &UnavailableError{}}, {504, &UnavailableError{}},
	}
	for _, c := range cases {
		_, err := connect(t, answering(t, c.status, `{"message":"canary"}`).URL).Get(t.Context(), KindService, "s")
		if reflect.TypeOf(err) != reflect.TypeOf(c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d: %v, want %T", c.status, err, c.want)
		}
	}
}

// TestALicenseIsNoToken: what an Enterprise answers without a license is not taken for a token that is wrong.
func TestALicenseIsNoToken(t *testing.T) {
	fake := answering(t, http.StatusForbidden, `{"message":"Enterprise license missing or expired"}`)
	_, err := connect(t, fake.URL).Put(t.Context(), Entity{Kind: KindService, ID: "s", Fields: Fields{"name": "s"}})
	var unlicensed *UnlicensedError
	if !errors.As(err, &unlicensed) || strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
}

func TestThrottling(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		fake := answering(t, status, `{"message":"busy"}`, "Retry-After", "7")
		_, err := connect(t, fake.URL).Node(t.Context())
		var throttled *ThrottledError
		if !errors.As(err, &throttled) || throttled.RetryAfter != 7*time.Second || throttled.Status != status {
			t.Errorf("%v", err)
		}
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"5":                             5 * time.Second,
		" 5 ":                           5 * time.Second,
		"-5":                            0,
		"soon":                          0,
		"99999999999":                   24 * time.Hour,
		"Mon, 23 Nov 2026 12:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 11:00:00 GMT": 0,
		"Mon, 23 Nov 2099 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
}
