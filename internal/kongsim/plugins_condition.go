package kongsim

import (
	"errors"
	"regexp"
	"strings"
)

// conditionalPlugin is a plugin with a condition (Kong 3.14 or newer): it runs for the requests of which the
// condition holds.
type conditionalPlugin struct {
	plugin
	holds condition
}

// condition is an expression about a request.
type condition []comparison

type comparison struct{ field, operator, value string }

// comparisonForm is the part of Kong's expressions that this package evaluates: comparisons, all of which have to hold.
var comparisonForm = regexp.MustCompile(
	`^\s*(http\.method|http\.path|http\.host|http\.headers\.[a-z0-9_]+)\s*(==|!=|\^=|=\^)\s*"([^"]*)"\s*$`)

var errCondition = errors.New("the simulation evaluates comparisons of http.method, http.path, http.host " +
	"and http.headers.NAME, joined by &&")

func parseCondition(text string) (condition, error) {
	var c condition
	for part := range strings.SplitSeq(text, "&&") {
		found := comparisonForm.FindStringSubmatch(part)
		if found == nil {
			return nil, errCondition
		}
		c = append(c, comparison{found[1], found[2], found[3]})
	}
	return c, nil
}

func conditionProblem(text string) string {
	if _, err := parseCondition(text); err != nil {
		return err.Error()
	}
	return ""
}

func (c condition) of(x *exchange) bool {
	for _, one := range c {
		if !one.of(x) {
			return false
		}
	}
	return true
}

func (c comparison) of(x *exchange) bool {
	var value string
	switch c.field {
	case "http.method":
		value = x.request.Method
	case "http.path":
		value = x.path
	case "http.host":
		value = x.request.Host
	default:
		name := strings.TrimPrefix(c.field, "http.headers.")
		value = x.request.Header.Get(strings.ReplaceAll(name, "_", "-"))
	}
	switch c.operator {
	case "==":
		return value == c.value
	case "!=":
		return value != c.value
	case "^=":
		return strings.HasPrefix(value, c.value)
	default:
		return strings.HasSuffix(value, c.value)
	}
}
