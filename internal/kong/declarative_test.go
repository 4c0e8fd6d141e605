package kong

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	someConsumer = "00000000-0000-4000-8000-000000000004"
	someKey      = "00000000-0000-4000-8000-000000000005"
	someService  = "00000000-0000-4000-8000-000000000001"
	somePlugin   = "00000000-0000-4000-8000-000000000003"
	canaryText   = "canary-material-of-a-credential"
)

func someConfiguration() []Entity {
	return []Entity{
		{Kind: KindConsumer, ID: someConsumer, Fields: Fields{"username": "john", "custom_id": nil}},
		{Kind: KindJWT, ID: someKey, ConsumerID: someConsumer, Fields: Fields{"key": "k", "secret": canaryText}},
		{Kind: KindService, ID: someService, Fields: Fields{"name": "s", "host": "h"}},
		{Kind: KindPlugin, ID: somePlugin, Fields: Fields{"name": "jwt", "service": map[string]any{"id": someService}}},
	}
}

// Kong names the entity of a fault only where the lists are flat and references are the id alone.
func TestPostConfigSendsFlatLists(t *testing.T) {
	var sent map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &sent); err != nil || r.Method != http.MethodPost || r.URL.Path != "/config" || r.URL.Query().Get("flatten_errors") != "1" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	if err := connect(t, server.URL).PostConfig(t.Context(), someConfiguration()); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"_format_version": "3.0",
		"consumers":       []any{map[string]any{"id": someConsumer, "username": "john"}},
		"jwt_secrets":     []any{map[string]any{"id": someKey, "consumer": someConsumer, "key": "k", "secret": canaryText}},
		"services":        []any{map[string]any{"id": someService, "name": "s", "host": "h"}},
		"plugins":         []any{map[string]any{"id": somePlugin, "name": "jwt", "service": someService}},
	}
	if !reflect.DeepEqual(sent, want) {
		t.Errorf("sent %v\nwant %v", sent, want)
	}
}

func TestPostConfigErrors(t *testing.T) {
	refused := func(flattened string) string {
		return `{"code":14,"name":"invalid declarative configuration","message":"declarative config is invalid: {}","fields":{},"flattened_errors":` + flattened + `}`
	}
	for what, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"a field": {400, refused(`[{"entity_id":"` + someKey + `","entity_type":"jwt_secret","entity":{"secret":"` + canaryText + `"},` +
			`"errors":[{"type":"field","field":"secret","message":"bad value ` + canaryText + `"},{"type":"field","field":"algorithm","message":"expected one of: HS256"}]}]`),
			&ConfigError{Entities: map[string]map[string]string{someKey: {"secret": "bad value [redacted]", "algorithm": "expected one of: HS256"}}}},
		"the whole entity": {400, refused(`[{"entity_id":"` + someConsumer + `","errors":[{"type":"entity","messages":["a","b"]}]}]`),
			&ConfigError{Entities: map[string]map[string]string{someConsumer: {"@entity": "a; b"}}}},
		"no entity named":   {400, refused(`{}`), &ConfigError{Entities: map[string]map[string]string{}}},
		"too large":         {413, `<html>413</html>`, &ConfigTooLargeError{Bytes: 1}},
		"another is loaded": {429, `{"message":"Currently loading previous configuration"}`, &ThrottledError{RetryAfter: 3 * time.Second}},
		"no database off":   {400, `{"message":"this endpoint is only available when Kong is configured to not use a database"}`, &InvalidError{}},
	} {
		t.Run(what, func(t *testing.T) {
			fake := answering(t, c.status, c.body, "Retry-After", "3")
			err := connect(t, fake.URL).PostConfig(t.Context(), someConfiguration())
			if reflect.TypeOf(err) != reflect.TypeOf(c.want) {
				t.Fatalf("got %T %v, want %T", err, err, c.want)
			}
			if strings.Contains(err.Error(), canaryText) {
				t.Errorf("the error has a secret: %v", err)
			}
			var got, want *ConfigError
			if errors.As(err, &got) && errors.As(c.want, &want) && !reflect.DeepEqual(got.Entities, want.Entities) {
				t.Errorf("got %v, want %v", got.Entities, want.Entities)
			}
			var large *ConfigTooLargeError
			if errors.As(err, &large) && large.Bytes < 100 {
				t.Errorf("it says %d bytes were sent", large.Bytes)
			}
		})
	}
}
