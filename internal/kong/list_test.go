package kong

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"testing"
)

// first drains a list and returns its error.
func first(list iter.Seq2[Entity, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// pagesOf answers lists as Kong does: at most size entities, an offset while there are more, and a
// next that under a parent has no size.
func pagesOf(total int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		if size == 0 {
			size = 100
		}
		start, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		data := []any{}
		for i := start; i < min(total, start+size); i++ {
			data = append(data, map[string]any{"id": strconv.Itoa(i), "name": "x"})
		}
		page := map[string]any{"data": data, "next": nil}
		if end := start + size; end < total {
			page["offset"] = strconv.Itoa(end)
			page["next"] = r.URL.Path + "?offset=" + strconv.Itoa(end)
		}
		_ = json.NewEncoder(w).Encode(page)
	}
}

func TestListFollowsPagesOfAThousand(t *testing.T) {
	cases := []struct {
		name     string
		list     func(*Client) iter.Seq2[Entity, error]
		requests []string
	}{
		{"at the top", func(c *Client) iter.Seq2[Entity, error] {
			return c.List(t.Context(), KindRoute, ListOptions{Tags: []string{"kongjwt", "a b:+ü"}})
		}, []string{
			"/routes?size=1000&tags=kongjwt,a%20b%3A%2B%C3%BC",
			"/routes?size=1000&tags=kongjwt,a%20b%3A%2B%C3%BC&offset=1000",
			"/routes?size=1000&tags=kongjwt,a%20b%3A%2B%C3%BC&offset=2000",
		}},
		{"under a parent", func(c *Client) iter.Seq2[Entity, error] {
			return c.ListChildren(t.Context(), KindConsumer, "a/b", KindJWT)
		}, []string{
			"/consumers/a%2Fb/jwt?size=1000",
			"/consumers/a%2Fb/jwt?size=1000&offset=1000",
			"/consumers/a%2Fb/jwt?size=1000&offset=2000",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fake := serve(t, pagesOf(2500))
			seen := map[string]bool{}
			for e, err := range c.list(connect(t, fake.URL)) {
				if err != nil {
					t.Fatal(err)
				}
				seen[e.ID] = true
			}
			if len(seen) != 2500 {
				t.Errorf("%d entities", len(seen))
			}
			var uris []string
			for _, request := range fake.all() {
				uris = append(uris, request.URI)
			}
			if !slices.Equal(uris, c.requests) {
				t.Errorf("asked %q", uris)
			}
		})
	}
}

func TestListStopsWhenTheCallerDoes(t *testing.T) {
	fake := serve(t, pagesOf(50))
	n := 0
	for range connect(t, fake.URL).List(t.Context(), KindService, ListOptions{PageSize: 10}) {
		if n++; n == 15 {
			break
		}
	}
	if requests := fake.all(); len(requests) != 2 {
		t.Errorf("%d requests for 15 of 50 entities in pages of 10", len(requests))
	}
}

func TestListEndsWithItsFirstError(t *testing.T) {
	answers := map[string]string{
		"an error on the second page": `{"data":[{"id":"1"}],"offset":"fail"}`,
		"an offset that does not end": `{"data":[{"id":"1"}],"offset":"again"}`,
		"no list":                     `{"offset":"x"}`,
		"a list of no objects":        `{"data":[1]}`,
		"no JSON":                     `<html>`,
	}
	for name, body := range answers {
		t.Run(name, func(t *testing.T) {
			fake := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("offset") == "fail" {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				_, _ = io.WriteString(w, body)
			})
			errs := 0
			for _, err := range connect(t, fake.URL).List(t.Context(), KindService, ListOptions{}) {
				if errs > 0 {
					t.Fatal("went on after an error")
				}
				if err == nil {
					continue
				}
				var unavailable *UnavailableError
				if errs++; !errors.As(err, &unavailable) {
					t.Errorf("%v", err)
				}
			}
			if errs != 1 {
				t.Errorf("%d errors", errs)
			}
		})
	}
}

func TestListsAsRecorded(t *testing.T) {
	list := func(body string) ([]Entity, error) {
		var out []Entity
		fake := answering(t, 200, body)
		for e, err := range connect(t, fake.URL).List(t.Context(), KindJWT, ListOptions{}) {
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	}
	got, err := list(recordedAnswer(t, "admin-jwt-credentials.json", "list of the consumer that is empty of tags"))
	if err != nil || len(got) != 2 || got[1].Fields.Text("key") != "user-issuer" || got[1].ConsumerID != "00000000-0000-4000-8000-000000000002" {
		t.Errorf("%v %v", got, err)
	}
	for _, empty := range []string{recordedAnswer(t, "admin-jwt-credentials.json", "list of all"), `{"data":{},"next":null}`} {
		if got, err := list(empty); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v", empty, got, err)
		}
	}
}

func TestListOfChildrenOfNoParent(t *testing.T) {
	fake := answering(t, 404, recordedAnswer(t, "admin-routes.json", "list of a service that is not there"))
	err := first(connect(t, fake.URL).ListChildren(t.Context(), KindService, "nope", KindRoute))
	if !IsNotFound(err) {
		t.Errorf("%v", err)
	}
	if want := "kong: GET /services/{id}/routes: not found (status 404)"; fmt.Sprint(err) != want {
		t.Errorf("%v", err)
	}
}

// holds is a Kong that has one entity, whatever name or id it is asked for.
type holds Entity

func (h holds) Get(context.Context, Kind, string) (Entity, error) { return Entity(h), nil }

func (h holds) List(context.Context, Kind, ListOptions) iter.Seq2[Entity, error] {
	return func(yield func(Entity, error) bool) { yield(Entity(h), nil) }
}

func TestNamed(t *testing.T) {
	const uuid = "3f2c0000-0000-4000-8000-000000000001"
	for name, there := range map[string]bool{"john": true, "John": false, "jane": false, uuid: false} {
		held := Entity{Kind: KindConsumer, ID: uuid, Fields: Fields{"username": "john"}}
		e, err := Named(t.Context(), holds(held), KindConsumer, name)
		if (err == nil) != there || err != nil && !IsNotFound(err) || there && e.ID != uuid {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
	likeID := holds{Kind: KindJWT, ID: "1", Fields: Fields{"key": uuid}}
	if e, err := Named(t.Context(), likeID, KindJWT, uuid); err != nil || e.ID != "1" {
		t.Errorf("a key like an id: %v, %v", e, err)
	}
}
