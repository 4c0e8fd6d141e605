package kong

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// FuzzAnswers holds whatever an Admin API, or what answers in its place, may say of a refusal: it ends in an error of
// a known type, and nothing that was sent as a secret comes back in it.
func FuzzAnswers(f *testing.F) {
	const secret = "do-not-tell-0123456789"
	for _, body := range []string{
		"", "null", "[]", "{}", `"text"`, "\x00", `{"code":2,"fields":{"secret":"` + secret + `"}}`, `{"code":5,"fields":{"key":"k"}}`,
		`{"code":14,"flattened_errors":[{"entity_id":"1","errors":[{"field":"secret","messages":["` + secret + `"]}]}]}`,
		`{"code":14,"flattened_errors":{}}`, `{"fields":{"@entity":["` + secret + `"]}}`, `{"fields":{"config":{"a":{"b":["c"]}}}}`, `{"message":"Not found"}`,
	} {
		for _, status := range []int{200, 301, 400, 401, 404, 405, 409, 413, 429, 500, 503} {
			f.Add([]byte(body), status, "1")
		}
	}
	client := &Client{token: secret}
	sent := Entity{Kind: KindJWT, ID: "1", Fields: Fields{"key": "k", "secret": secret}}
	f.Fuzz(func(t *testing.T, body []byte, status int, retry string) {
		header := http.Header{"Retry-After": {retry}}
		call := call{method: http.MethodPut, kind: KindJWT, template: "/consumers/{consumer}/jwt/{id}"}
		errs := []error{client.judge(call, status, header, body, sent.Fields)}
		if status >= 400 {
			errs = append(errs, client.judgeConfig(call, answer{status: status, header: header, body: body}, []Entity{sent}))
		}
		for _, err := range errs {
			if (err == nil) != (status >= 200 && status < 300) {
				t.Fatalf("%d is %v", status, err)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Fatalf("tells the secret: %v", err)
			}
		}
	})
}

// FuzzSchema reads whatever may come as the schema of a plugin, and normalizes a configuration by it.
func FuzzSchema(f *testing.F) {
	for _, body := range []string{
		"", "null", "{}", `{"fields":[]}`, `{"fields":[{"config":{"type":"record","fields":[{"a":{"type":"set","elements":{"type":"string"},"default":["x"]}}]}}]}`,
		`{"fields":[{"protocols":{"type":"set","default":["http"]}},{"consumer":{"type":"foreign","eq":null}}]}`,
		`{"fields":[{"config":{"type":"record","shorthand_fields":[{"b":{"type":"string"}}],"fields":[{"a":{"type":"map","values":{"type":"record"}}}]}}]}`,
	} {
		f.Add([]byte(body), []byte(`{"a":["y","x"],"b":{"c":1}}`))
	}
	f.Fuzz(func(t *testing.T, body, config []byte) {
		schema, err := ParseSchema("jwt", body)
		if err != nil {
			return
		}
		var fields Fields
		if err := json.Unmarshal(config, &fields); err != nil {
			return
		}
		entity := Entity{Kind: KindPlugin, ID: "1", Fields: Fields{"name": "jwt", "config": map[string]any(fields)}}
		find := func(string) (Schema, bool) { return schema, true }
		if first, second := Canonical(entity, Known{Plugins: find}), Canonical(entity, Known{Plugins: find}); string(first) != string(second) {
			t.Fatalf("%s, and then %s", first, second)
		}
	})
}
