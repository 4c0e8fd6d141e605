package kong

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPutGoesToTheIDAndReturnsWhatKongKeeps(t *testing.T) {
	cases := []struct{ kind, consumer, uri string }{
		{"consumers", "", "/consumers/i"},
		{"jwts", "c", "/consumers/c/jwt/i"},
		{"acls", "c", "/consumers/c/acls/i"},
		{"services", "", "/services/i"},
		{"routes", "", "/routes/i"},
		{"plugins", "", "/plugins/i"},
	}
	for _, c := range cases {
		t.Run(c.kind, func(t *testing.T) {
			fake := answering(t, 200, `{"id":"i","name":"n","consumer":{"id":"c"},"created_at":1790000000,"updated_at":1790000001,"port":80}`)
			sent := Entity{Kind: Kind(c.kind), ID: "i", ConsumerID: c.consumer, Fields: Fields{
				"id": "other", "name": "n", "consumer": Fields{"id": "c"}, "created_at": 1, "config": Fields{"secret": "s"},
			}}
			got, err := connect(t, fake.URL).Put(t.Context(), sent)
			if err != nil {
				t.Fatal(err)
			}
			request := fake.last(t)
			if request.Method != http.MethodPut || request.URI != c.uri || request.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s %s %v", request.Method, request.URI, request.Header)
			}
			wantBody := map[string]any{"name": "n", "consumer": map[string]any{"id": "c"}, "config": map[string]any{"secret": "s"}}
			wantFields := Fields{"name": "n", "consumer": map[string]any{"id": "c"}, "port": 80.0}
			if sent.Kind.underConsumer() {
				delete(wantBody, "consumer")
				delete(wantFields, "consumer")
			}
			if body := object(t, []byte(request.Body)); !reflect.DeepEqual(body, wantBody) {
				t.Errorf("sent %v, want %v", body, wantBody)
			}
			want := Entity{
				Kind: sent.Kind, ID: "i", ConsumerID: c.consumer, Fields: wantFields,
				CreatedAt: time.Unix(1790000000, 0).UTC(), UpdatedAt: time.Unix(1790000001, 0).UTC(),
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v %v, want %v %v", got, map[string]any(got.Fields), want, map[string]any(want.Fields))
			}
			if sent.Fields["id"] != "other" {
				t.Error("the caller's fields were changed")
			}
		})
	}
}

// An id or name that is empty would turn the request into one about the whole collection.
func TestWhatNamesNoEntityIsNotSent(t *testing.T) {
	fake := answering(t, 200, `{}`)
	client, ctx := connect(t, fake.URL), t.Context()
	_, putErr := client.Put(ctx, Entity{Kind: KindService})
	_, kindErr := client.Put(ctx, Entity{Kind: "upstreams", ID: "i"})
	_, parentErr := client.Put(ctx, Entity{Kind: KindJWT, ID: "i"})
	_, getErr := client.Get(ctx, KindConsumer, "")
	_, _, customErr := client.ConsumerByCustomID(ctx, "")
	_, schemaErr := client.PluginSchema(ctx, "")
	for name, err := range map[string]error{
		"put": putErr, "kind": kindErr, "parent": parentErr, "get": getErr, "custom id": customErr, "schema": schemaErr,
		"delete": client.Delete(ctx, KindACL, "", "i"),
		"list":   first(client.List(ctx, "upstreams", ListOptions{})),
		"tag":    first(client.List(ctx, KindRoute, ListOptions{Tags: []string{"a,b"}})),
		"child":  first(client.ListChildren(ctx, KindService, "", KindRoute)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if requests := fake.all(); len(requests) > 0 {
		t.Errorf("sent %v", requests)
	}
}

func TestPathsAreEscaped(t *testing.T) {
	cases := map[string]string{
		"team a/john":                         "/consumers/team%20a%2Fjohn",
		"https://issuer.example.com/realms/a": "/consumers/https:%2F%2Fissuer.example.com%2Frealms%2Fa",
		".":                                   "/consumers/%2E",
		"..":                                  "/consumers/%2E%2E",
		"a%2Fb":                               "/consumers/a%252Fb",
		"a?b#c":                               "/consumers/a%3Fb%23c",
		"jörg":                                "/consumers/j%C3%B6rg",
		"a;b":                                 "/consumers/a%3Bb",
	}
	for name, uri := range cases {
		fake := answering(t, 200, `{"id":"i"}`)
		if _, err := connect(t, fake.URL).Get(t.Context(), KindConsumer, name); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := fake.last(t).URI; got != uri {
			t.Errorf("%s went to %s, want %s", name, got, uri)
		}
	}
}

func TestWorkspaceBasePathAndToken(t *testing.T) {
	fake := answering(t, 200, `{"id":"i"}`)
	client := connect(t, fake.URL+"/kong/admin/", func(c *Config) {
		c.Workspace, c.AuthToken, c.UserAgent = "team a", "s3cret\n", "tester"
	})
	if _, err := client.Get(t.Context(), KindService, "s"); err != nil {
		t.Fatal(err)
	}
	request := fake.last(t)
	if request.URI != "/kong/admin/team%20a/services/s" {
		t.Errorf("went to %s", request.URI)
	}
	if token := request.Header.Get("Kong-Admin-Token"); token != "s3cret" {
		t.Errorf("token %q: a line end of a mounted file is not part of it", token)
	}
	if agent := request.Header.Get("User-Agent"); agent != "tester" {
		t.Errorf("user agent %q", agent)
	}
	if _, sent := request.Header["Idempotency-Key"]; sent {
		t.Error("a header for net/http went out")
	}
	other := connect(t, fake.URL, func(c *Config) { c.AuthHeader, c.AuthToken = "Authorization", "Basic x" })
	if err := other.Delete(t.Context(), KindService, "", "s"); err != nil {
		t.Fatal(err)
	}
	if request := fake.last(t); request.Header.Get("Authorization") != "Basic x" || request.Header.Get("Content-Type") != "" {
		t.Errorf("headers %v", request.Header)
	}
}

func TestPatchTags(t *testing.T) {
	fake := answering(t, 200, `{"id":"i","tags":["a"]}`)
	client := connect(t, fake.URL)
	got, err := client.PatchTags(t.Context(), KindACL, "c", "i", []string{"a"})
	if err != nil || !reflect.DeepEqual(got.Fields.Tags(), []string{"a"}) {
		t.Errorf("%v %v", got, err)
	}
	if request := fake.last(t); request.Method != http.MethodPatch || request.URI != "/consumers/c/acls/i" || request.Body != `{"tags":["a"]}` {
		t.Errorf("sent %+v", request)
	}
	if _, err := client.PatchTags(t.Context(), KindService, "", "i", nil); err != nil {
		t.Fatal(err)
	}
	if body := fake.last(t).Body; body != `{"tags":null}` {
		t.Errorf("no tags were sent as %s", body)
	}
}

func TestDeleteTellsWhatIsNotThere(t *testing.T) {
	fake := answering(t, 404, `{"message":"Not found"}`)
	if err := connect(t, fake.URL).Delete(t.Context(), KindJWT, "c", "i"); !IsNotFound(err) {
		t.Error(err)
	}
	if request := fake.last(t); request.Method != http.MethodDelete || request.URI != "/consumers/c/jwt/i" {
		t.Errorf("sent %+v", request)
	}
	// The same status from what is not Kong tells nothing of the entity.
	for _, body := range []string{``, `<html>404</html>`, `{"message":"no Route matched with those values"}`, `[]`} {
		if err := connect(t, answering(t, 404, body).URL).Delete(t.Context(), KindJWT, "c", "i"); err == nil || IsNotFound(err) {
			t.Errorf("%q was taken for Kong's answer", body)
		}
	}
}

func TestGetOfARecordedCredential(t *testing.T) {
	fake := answering(t, 200, recordedAnswer(t, "admin-jwt-credentials.json", "get by key"))
	got, err := connect(t, fake.URL).Get(t.Context(), KindJWT, "rs")
	if err != nil {
		t.Fatal(err)
	}
	if got.Kind != KindJWT || got.ConsumerID != "00000000-0000-4000-8000-000000000001" || got.ID != "00000000-0000-4000-8000-000000000012" ||
		got.Fields.Text("algorithm") != "RS256" || !strings.HasPrefix(got.Fields.Text("rsa_public_key"), "-----BEGIN") || !got.UpdatedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	if _, found := got.Fields["consumer"]; found {
		t.Error("the consumer is still a field")
	}
}

func TestConsumerByCustomID(t *testing.T) {
	fake := answering(t, 200, recordedAnswer(t, "admin-consumers.json", "filter by custom_id"))
	client := connect(t, fake.URL)
	got, found, err := client.ConsumerByCustomID(t.Context(), "42")
	if err != nil || !found || got.Fields.Text("username") != "admin" {
		t.Errorf("%v %v %v", got, found, err)
	}
	if _, found, err := client.ConsumerByCustomID(t.Context(), "4 2&x"); err != nil || found {
		t.Errorf("another's consumer was taken: %v %v", found, err)
	}
	if uri := fake.last(t).URI; uri != "/consumers?custom_id=4+2%26x" {
		t.Errorf("asked %s", uri)
	}
}

func TestFieldsAccessors(t *testing.T) {
	f := Fields{
		"name": "n", "tags": []any{"a", 1.0, "b"}, "service": map[string]any{"id": "s"},
		"route": Fields{"id": "r"}, "consumer": map[string]string{"id": "c"}, "port": 80.0, "none": nil,
	}
	if f.Text("name") != "n" || f.Text("port") != "" || f.Text("absent") != "" {
		t.Error("Text")
	}
	if f.Ref("service") != "s" || f.Ref("route") != "r" || f.Ref("consumer") != "c" || f.Ref("none") != "" || f.Ref("name") != "" {
		t.Error("Ref")
	}
	if !reflect.DeepEqual(f.Tags(), []string{"a", "b"}) || f.Strings("none") != nil {
		t.Error("Strings")
	}
	list := []string{"x"}
	if got := (Fields{"l": list}).Strings("l"); got[0] != "x" || &got[0] == &list[0] {
		t.Error("Strings must copy")
	}
}

// Fields print their names only, also to encoding/json: the body must have the values, however deep they are.
func TestBodyIsWritten(t *testing.T) {
	inner := Fields{"s": "v"}
	body, err := Fields{
		"fields": inner, "list": []any{inner, nil}, "maps": []map[string]any{{"in": inner}}, "all": []Fields{inner},
		"nothing": []any(nil), "none": map[string]any(nil), "html": "<&>",
	}.body()
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]any{"s": "v"}
	want := map[string]any{
		"fields": v, "list": []any{v, nil}, "maps": []any{map[string]any{"in": v}}, "all": []any{v}, "nothing": nil, "none": nil, "html": "<&>",
	}
	if got := object(t, body); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	fake := answering(t, 200, `{"id":"i"}`)
	_, err = connect(t, fake.URL).Put(t.Context(), Entity{Kind: KindService, ID: "i", Fields: Fields{"name": func() {}}})
	if err == nil || len(fake.all()) > 0 {
		t.Errorf("a function was sent: %v", err)
	}
}
