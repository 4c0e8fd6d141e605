package kongsim

import (
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// pcreProblem says what PCRE would have against an expression, in its words; nothing where it would compile. Go's parser knows fewer constructs
// than PCRE, so that what only Go refuses passes here.
func pcreProblem(expression string) string {
	_, err := syntax.Parse(expression, syntax.Perl)
	var fault *syntax.Error
	if !errors.As(err, &fault) {
		return ""
	}
	words, atEnd := "", true
	switch fault.Code {
	case syntax.ErrMissingBracket:
		words = "missing terminating ] for character class"
	case syntax.ErrMissingParen:
		words = "missing closing parenthesis"
	case syntax.ErrTrailingBackslash:
		words = `\ at end of pattern`
	case syntax.ErrUnexpectedParen:
		words, atEnd = "unmatched closing parenthesis", false
	case syntax.ErrMissingRepeatArgument, syntax.ErrInvalidRepeatOp:
		words, atEnd = "quantifier does not follow a repeatable item", false
	case syntax.ErrInvalidCharRange:
		words, atEnd = "range out of order in character class", false
	default:
		return ""
	}
	where := fmt.Sprintf(" in %q", plain(expression))
	if before, _, found := strings.Cut(expression, fault.Expr); !atEnd && found && fault.Expr != expression {
		where += fmt.Sprintf(" at %q", plain(expression[len(before):]))
	}
	return words + where
}

// plain is a text that %q only puts in quotes: PCRE's message escapes nothing.
type plain string

// Format implements fmt.Formatter.
func (p plain) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(`"` + string(p) + `"`)) }

// routeExpressionProblem is what the router of flavor traditional_compatible has against a route: it turns it into an expression of its own, whose
// regular expressions, of paths and of header values, know neither looking around nor back-references. Kong's message goes on to draw the place.
func routeExpressionProblem(route object) string {
	var expressions []string
	for _, path := range names(route["paths"]) {
		if expression, isExpression := strings.CutPrefix(path, "~"); isExpression {
			expressions = append(expressions, expression)
		}
	}
	headers, _ := route["headers"].(object)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, value := range names(headers[name]) {
			if expression, isExpression := strings.CutPrefix(value, "~*"); isExpression {
				expressions = append(expressions, expression)
			}
		}
	}
	for _, expression := range expressions {
		if _, err := syntax.Parse(expression, syntax.Perl); err != nil {
			return "Router Expression failed validation: regex parse error: " + strconv.Quote(expression)
		}
	}
	return ""
}

func decimal(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil
}
