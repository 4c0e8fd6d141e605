package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// periods of rate limits, from the shortest.
var periods = []string{"second", "minute", "hour", "day", "month", "year"}

// limitsOrder says which limit is lower than that of a shorter period (kong/plugins/rate-limiting/schema.lua).
func limitsOrder(limits object) string {
	for i, shorter := range periods {
		low, ok := limits[shorter].(float64)
		if !ok {
			continue
		}
		for _, longer := range periods[i+1:] {
			if high, ok := limits[longer].(float64); ok && high < low {
				return fmt.Sprintf("The limit for %s(%.1f) cannot be lower than the limit for %s(%.1f)", longer, high, shorter, low)
			}
		}
	}
	return ""
}

func rateLimitsProblem(config object) string {
	if problem := limitsOrder(config); problem != "" {
		return problem
	}
	rate, ok := config["sync_rate"].(float64)
	if !ok || rate == -1 {
		return ""
	}
	if config["policy"] != "redis" {
		return "sync_rate can only be used with the redis policy"
	}
	if rate < 0.02 {
		return "sync_rate must be greater than 0.02, or -1 to disable"
	}
	return ""
}

// manyRateLimitsProblem looks at one set of limits of response-ratelimiting.
func manyRateLimitsProblem(limits object) string {
	return strings.Replace(limitsOrder(limits), "The", "the", 1)
}

func terminationProblem(config object) string {
	set := func(name string) bool { text, _ := config[name].(string); return text != "" }
	switch {
	case set("message") && (set("content_type") || set("body")):
		return "message cannot be used with content_type or body"
	case set("content_type") && !set("body"):
		return "content_type requires a body"
	case config["echo"] == true && (set("content_type") || set("body")):
		return "echo cannot be used with content_type and body"
	}
	return ""
}

// ProtocolsShared says whether a plugin runs on any protocol of a route.
func ProtocolsShared(plugin, route object) bool {
	for _, protocol := range Names(plugin["protocols"]) {
		if slices.Contains(Names(route["protocols"]), protocol) {
			return true
		}
	}
	return false
}

// expansions are what shorthands stand for, where that is code.
var expansions = map[string]func(value any) object{"service_url": expandURL}

// expandURL takes a service's url apart (kong/db/schema/entities/services.lua). Query and fragment are dropped.
func expandURL(value any) object {
	text, _ := value.(string)
	parts := splitURL(text)
	scheme := parts["scheme"]
	var port any
	if text, given := parts["port"]; given { // "http://h:" has one, which is no number
		port = text
		if number, isNumber := Decimal(text); isNumber {
			port = number
		}
	}
	if scheme == "" {
		scheme = "http"
		if port == 443.0 {
			scheme = "https"
		}
	}
	if port == nil {
		port = 80.0
		if scheme == "https" {
			port = 443.0
		}
	}
	expanded := object{"protocol": scheme, "host": nil, "port": port, "path": nil}
	for _, name := range []string{"host", "path"} {
		if parts[name] != "" {
			expanded[name] = parts[name]
		}
	}
	return expanded
}

// splitURL reads a URL as LuaSocket does: anything goes, nothing is unescaped.
func splitURL(text string) map[string]string {
	parts := map[string]string{}
	text, _, _ = strings.Cut(text, "#")
	if scheme, rest, found := strings.Cut(text, ":"); found && schemeForm.MatchString(scheme) {
		parts["scheme"], text = scheme, rest
	}
	if rest, found := strings.CutPrefix(text, "//"); found {
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			end = len(rest)
		}
		authority := rest[:end]
		text = rest[end:]
		if cut := strings.IndexByte(authority, '?'); cut >= 0 {
			authority = authority[:cut]
		}
		if _, after, found := strings.Cut(authority, "@"); found {
			authority = after
		}
		maps.Copy(parts, splitAuthority(authority))
	}
	text, _, _ = strings.Cut(text, "?")
	text, _, _ = strings.Cut(text, ";")
	parts["path"] = text
	return parts
}

var schemeForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z+.-]*$`)

func splitAuthority(authority string) map[string]string {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.HasSuffix(authority, "]") {
		return map[string]string{"host": strings.Trim(authority, "[]")}
	}
	return map[string]string{"host": strings.Trim(authority[:colon], "[]"), "port": authority[colon+1:]}
}
