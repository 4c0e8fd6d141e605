package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// admin asks an Admin API. What the simulated Kong does not hold as it was sent, the controller tells.
func (r *run) admin(ctx context.Context, s step) (string, error) {
	node, path, _ := strings.Cut(s.Admin, " GET ")
	got, err := r.get(ctx, node, path)
	if err != nil {
		return "", err
	}
	status, body := got.status, got.json()
	collection, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "?")
	switch {
	case collection == "services" && !strings.Contains(path, "?"):
		body = map[string]any{"data": merged(body, r.controller.Services()), "next": nil}
	case collection == "upstreams":
		status, body = 200, map[string]any{"data": jsonList(r.controller.Upstreams()), "next": nil}
	case strings.HasPrefix(collection, "upstreams/"):
		name, _, _ := strings.Cut(strings.TrimPrefix(collection, "upstreams/"), "/")
		status, body = 200, map[string]any{"data": jsonList(r.controller.Targets(name)), "next": nil}
	}
	if status != s.Answered {
		return fmt.Sprintf("%s: status %d, got %d", s.Admin, s.Answered, status), nil
	}
	want, _ := s.Body.(map[string]any)
	if names, is := want["fields"].([]any); is { // only which fields there are was recorded
		given, _ := body.(map[string]any)
		if len(names) != len(given) {
			return fmt.Sprintf("%s: fields %v, got %v", s.Admin, names, slices.Collect(maps.Keys(given))), nil
		}
		return "", nil
	}
	switch {
	case collection == "upstreams":
		want = named(want)
	case strings.HasPrefix(collection, "tags/"): // how many are on a page is Kong's own matter
		held, _ := body.(map[string]any)
		body = map[string]any{"data": held["data"].([]any)[:len(want["data"].([]any))]}
		want = map[string]any{"data": want["data"]}
	}
	if wrong := subset("", r.filled(want), body); wrong != "" {
		return s.Admin + ": " + wrong, nil
	}
	return "", nil
}

// named leaves of upstreams what the controller says of them; the rest are Kong's defaults.
func named(page map[string]any) map[string]any {
	var plain []any
	list, _ := page["data"].([]any)
	for _, one := range list {
		upstream, _ := one.(map[string]any)
		plain = append(plain, map[string]any{
			"id": upstream["id"], "name": upstream["name"], "algorithm": upstream["algorithm"], "tags": upstream["tags"],
		})
	}
	return map[string]any{"data": plain}
}

// merged puts the addresses that the controller sent into the services that a node holds.
func merged(body any, sent []any) []any {
	page, _ := body.(map[string]any)
	list, _ := page["data"].([]any)
	for _, one := range list {
		held, _ := one.(map[string]any)
		for _, other := range jsonList(sent) {
			service, _ := other.(map[string]any)
			if service["id"] == held["id"] {
				held["host"], held["port"] = service["host"], service["port"]
			}
		}
	}
	return list
}

func jsonList(list []any) []any {
	raw, err := json.Marshal(list)
	all := []any{}
	if err == nil {
		_ = json.Unmarshal(raw, &all)
	}
	return all
}

var placeholder = map[string]*regexp.Regexp{
	"<uuid>":       regexp.MustCompile(`^[0-9a-f-]{36}$`),
	"<generated>":  regexp.MustCompile(`^[0-9A-Za-z]{32}$`),
	"<request_id>": regexp.MustCompile(`^[0-9a-f]{32}$`),
	"hash":         regexp.MustCompile(`^[0-9a-f]{32}$`),
}

// own are fields whose values are a node's own. The ids of plugins and of what a controller's upstreams hold are made
// in a way that is not known; that each entity has one is compared.
var own = []string{"id", "created_at", "updated_at", "configuration_hash", "healthchecks", "slots",
	"hash_on_cookie_path"}

// subset says what of a recorded value is not there: recordings leave out what says nothing.
func subset(at string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, is := got.(map[string]any)
		if !is {
			return fmt.Sprintf("%s: want %s, got %s", at, compact(want), compact(got))
		}
		for _, name := range slices.Sorted(maps.Keys(w)) {
			if wrong := subset(at+"."+name, w[name], g[name]); wrong != "" {
				return wrong
			}
		}
		return ""
	case []any:
		return listSubset(at, w, got)
	case string:
		if text, is := got.(string); is && textMatches(at, w, text) {
			return ""
		}
		if w == "<timestamp>" && got != nil {
			return ""
		}
	case nil:
		if got == nil {
			return ""
		}
	default:
		if reflect.DeepEqual(want, got) || isOwn(at) && got != nil {
			return ""
		}
	}
	return fmt.Sprintf("%s: want %s, got %s", at, compact(want), compact(got))
}

func isOwn(at string) bool { return slices.Contains(own, at[strings.LastIndex(at, ".")+1:]) }

func textMatches(at, want, got string) bool {
	if strings.HasPrefix(want, "k8s-uid:<uid:") {
		return strings.HasPrefix(got, "k8s-uid:") && len(got) > len("k8s-uid:")
	}
	if pattern := placeholder[want]; pattern != nil {
		return pattern.MatchString(got)
	}
	return want == got || strings.HasSuffix(at, ".configuration_hash") && placeholder["hash"].MatchString(got) ||
		pluginID(at, want, got)
}

// pluginID lets a plugin's and a target's id be another: how the controller makes them is not known.
func pluginID(at, want, got string) bool {
	return strings.HasSuffix(at, "*.id") && placeholder["<uuid>"].MatchString(want) &&
		placeholder["<uuid>"].MatchString(got)
}

// listSubset compares lists of entities in any order, and others in theirs.
func listSubset(at string, want []any, got any) string {
	list, is := got.([]any)
	if !is || len(list) != len(want) {
		return fmt.Sprintf("%s: want %s, got %s", at, compact(want), compact(got))
	}
	rest := slices.Clone(list)
	for i, one := range want {
		entity, isEntity := one.(map[string]any)
		if !isEntity {
			if wrong := subset(fmt.Sprintf("%s.%d", at, i), one, list[i]); wrong != "" {
				return wrong
			}
			continue
		}
		place := at
		if _, isPlugin := entity["consumer"]; isPlugin || entity["target"] != nil || entity["slots"] != nil {
			place = at + ".*"
		}
		found := slices.IndexFunc(rest, func(other any) bool { return subset(place, one, other) == "" })
		if found < 0 {
			return subset(place, one, rest[0])
		}
		rest = slices.Delete(rest, found, found+1)
	}
	return ""
}

// compare says whether two values are alike as JSON, the order of conditions apart.
func compare(at string, want, got any) []string {
	if wrong := subset(at, want, got); wrong != "" {
		return []string{wrong}
	}
	if wrong := subset(at, got, want); wrong != "" {
		return []string{wrong}
	}
	return nil
}

func compact(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	const longest = 400
	if len(raw) > longest {
		return string(raw[:longest]) + "..."
	}
	return string(raw)
}
