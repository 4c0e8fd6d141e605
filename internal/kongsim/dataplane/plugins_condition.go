package dataplane

import (
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// conditionalPlugin is a plugin with a condition (Kong 3.14 or newer): it runs for the requests of which the
// condition holds.
type conditionalPlugin struct {
	plugin
	condition schema.Condition
}

func holds(c schema.Condition, x *exchange) bool {
	for _, one := range c {
		if !compare(one, x) {
			return false
		}
	}
	return true
}

func compare(c schema.Comparison, x *exchange) bool {
	var value string
	switch c.Field {
	case "http.method":
		value = x.request.Method
	case "http.path":
		value = x.path
	case "http.host":
		value = x.request.Host
	default:
		name := strings.TrimPrefix(c.Field, "http.headers.")
		value = x.request.Header.Get(strings.ReplaceAll(name, "_", "-"))
	}
	switch c.Operator {
	case "==":
		return value == c.Value
	case "!=":
		return value != c.Value
	case "^=":
		return strings.HasPrefix(value, c.Value)
	default:
		return strings.HasSuffix(value, c.Value)
	}
}
