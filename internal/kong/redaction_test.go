package kong

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

const canary = "canary-4f9d2c71b6"

// printed is everything that a value could be printed as.
func printed(t *testing.T, value any) string {
	t.Helper()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", value)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("Text", "value", value)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("JSON", "value", value, slog.Group("g", "value", value))
	body, err := json.Marshal(value)
	if err != nil {
		t.Errorf("%T: %v", value, err)
	}
	out.Write(body)
	if logged, ok := value.(interface{ MarshalLog() any }); ok {
		fmt.Fprintf(&out, "%+v", logged.MarshalLog())
	}
	if err, ok := value.(error); ok {
		out.WriteString(err.Error())
	}
	return out.String()
}

func mustNotLeak(t *testing.T, what string, value any) {
	t.Helper()
	text := printed(t, value)
	numbers := fmt.Sprint([]byte(canary)) //nolint:staticcheck // As a list of numbers, on purpose.
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), numbers} {
		if strings.Contains(text, form) {
			t.Errorf("%s gives the canary away as %s:\n%s", what, form, text)
		}
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	config := Config{
		URL: "http://localhost:8001", AuthToken: canary, ClientKey: []byte(canary), ClientCert: []byte(canary),
	}
	fields := Fields{"secret": canary, "config": map[string]any{"redis": map[string]any{"password": canary}}, "list": []any{canary}}
	entity := Entity{Kind: KindJWT, ID: "i", Fields: fields}
	for what, value := range map[string]any{
		"a secret": Secret(canary), "a config": config, "a config's address": &config, "a URL with a password": Config{URL: "http://u:" + canary + "@h"},
		"fields": fields, "an entity": entity, "an entity's address": &entity, "entities": []Entity{entity}, "a map of them": map[string]Entity{"e": entity},
		"a client": connect(t, "http://localhost:8001", func(c *Config) { c.AuthToken = canary }),
	} {
		mustNotLeak(t, what, value)
	}
	if text := fmt.Sprint(fields); text != "{config, list, secret}" {
		t.Errorf("the names of the fields are for everyone: %s", text)
	}
	if fmt.Sprint(Secret("")) != "" {
		t.Error("an empty secret can be told from one that is set")
	}
}

// What Kong answers can repeat what it was sent, in any field of any error.
func TestNoErrorRepeatsSecrets(t *testing.T) {
	reasons := []string{
		canary, "invalid value: " + canary, "invalid value '" + canary + "'", "bad thing near " + canary + "!", "expected one of: " + canary,
		"invalid url: http://u:" + canary + "@h", `invalid regex: "` + canary[3:] + `"`, "line\nbreak " + canary,
	}
	bodies := []string{canary, `{"message":"` + canary + `"}`, `{"code":5,"fields":{"secret":"` + canary + `","` + canary + `":1},"message":"` + canary + `"}`}
	for _, reason := range reasons {
		for _, shape := range []string{
			`{"code":2,"message":%[1]q,"name":%[1]q,"fields":{"secret":%[2]s,"config":{"redis":{"password":%[2]s,"list":[null,%[2]s]}},"headers":{"x":[%[2]s]},"@entity":[%[2]s]}}`,
			`{"code":2,"message":%[1]q,"fields":{"config":%[2]s}}`,
			`{"code":4,"message":%[1]q,"fields":{"secret":{"id":%[2]s}}}`,
			`{"code":2,"message":%[1]q,"fields":{"config":{"` + canary + `":"unknown field"}}}`,
			`{"code":11,"message":%[1]q,"options":{"tags":%[2]s}}`,
		} {
			quoted, err := json.Marshal(reason)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, fmt.Sprintf(shape, reason, quoted))
		}
	}
	entities := []Entity{
		{Kind: KindJWT, ID: "i", ConsumerID: "c", Fields: Fields{"key": "k", "secret": canary, "rsa_public_key": canary}},
		{Kind: KindPlugin, ID: "i", Fields: Fields{"name": "p", "config": map[string]any{
			"redis": map[string]any{"password": canary}, "url": "http://u:" + canary + "@h", "list": []string{canary}, "map": map[string]string{"x": canary}}}},
		{Kind: KindRoute, ID: "i", Fields: Fields{"headers": map[string]any{"x": []string{canary}}}},
	}
	var current string
	status := http.StatusBadRequest
	fake := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", canary)
		w.Header().Set("Location", "http://elsewhere/"+canary)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, current)
	})
	client := connect(t, fake.URL, func(c *Config) { c.AuthToken = canary })
	for _, status = range []int{200, 302, 400, 401, 404, 405, 409, 413, 429, 500, 503} {
		for _, current = range bodies {
			for _, entity := range entities {
				_, err := client.Put(t.Context(), entity)
				if err == nil {
					t.Fatalf("%d %s is no error", status, current)
				}
				mustNotLeak(t, fmt.Sprintf("%d %s for a %s", status, current, entity.Kind.Singular()), err)
				if strings.ContainsAny(err.Error(), "\n\r") {
					t.Errorf("a line break in %q", err)
				}
			}
		}
	}
}

func TestReasonsForOpenFieldsStayWhole(t *testing.T) {
	fake := answering(t, 400, `{"code":2,"fields":{"protocols":["expected one of: grpc, grpcs, http, https"],
		"config":{"policy":"expected one of: local, cluster, redis","redis":{"port":"value should be between 0 and 65535"},"x":"invalid value: y","length":"length must be at least 1"}}}`)
	_, err := connect(t, fake.URL).Put(t.Context(), Entity{Kind: KindPlugin, ID: "i", Fields: Fields{
		"config": map[string]any{"policy": "redi", "redis": map[string]any{"host": "http", "port": 70000}, "x": "y"},
	}})
	want := "kong: PUT /plugins/{id}: refused: schema violation: config.length: length must be at least 1; config.policy: expected one of: local, cluster, redis; " +
		"config.redis.port: value should be between 0 and 65535; config.x: invalid value: [redacted]; protocols[0]: expected one of: grpc, grpcs, http, https (status 400)"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	fake := answering(t, 400, `{"code":2,"fields":{"name":"`+strings.Repeat("ä", 10_000)+`"}}`)
	_, err := connect(t, fake.URL).Put(t.Context(), Entity{Kind: KindService, ID: "i"})
	if err == nil || len(err.Error()) > 500 || strings.Contains(err.Error(), "\ufffd") {
		t.Errorf("%d bytes: %v", len(fmt.Sprint(err)), err)
	}
}
