package schema

import (
	"errors"
	"regexp"
	"strings"
)

// Condition is an expression about a request.
type Condition []Comparison

// Comparison of a part of a request, such as http.path, with a text.
type Comparison struct{ Field, Operator, Value string }

// comparisonForm is the part of Kong's expressions that this package evaluates: comparisons, all of which have to
// hold.
var comparisonForm = regexp.MustCompile(
	`^\s*(http\.method|http\.path|http\.host|http\.headers\.[a-z0-9_]+)\s*(==|!=|\^=|=\^)\s*"([^"]*)"\s*$`)

var errCondition = errors.New("the simulation evaluates comparisons of http.method, http.path, http.host " +
	"and http.headers.NAME, joined by &&")

// ParseCondition reads the part of Kong's expressions that the simulation evaluates.
func ParseCondition(text string) (Condition, error) {
	var c Condition
	for part := range strings.SplitSeq(text, "&&") {
		found := comparisonForm.FindStringSubmatch(part)
		if found == nil {
			return nil, errCondition
		}
		c = append(c, Comparison{found[1], found[2], found[3]})
	}
	return c, nil
}

func conditionProblem(text string) string {
	if _, err := ParseCondition(text); err != nil {
		return err.Error()
	}
	return ""
}
