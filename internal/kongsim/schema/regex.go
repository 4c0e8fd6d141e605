package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// pcreProblem says what PCRE would have against an expression, in its words; nothing where it would compile. Go's
// parser knows fewer constructs than PCRE, so that what only Go refuses passes here.
func pcreProblem(expression string) string {
	_, err := syntax.Parse(expression, syntax.Perl)
	var fault *syntax.Error
	if !errors.As(err, &fault) {
		return sameNameProblem(expression)
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

var groupName = regexp.MustCompile(`\(\?P?<([A-Za-z_]\w*)>`)

// sameNameProblem looks for two groups of a name, which Go lets pass.
func sameNameProblem(expression string) string {
	seen := map[string]bool{}
	for _, at := range groupName.FindAllStringSubmatchIndex(expression, -1) {
		name := expression[at[2]:at[3]]
		if seen[name] {
			return fmt.Sprintf("two named subpatterns have the same name (PCRE2_DUPNAMES not set) in %q at %q", plain(expression), plain(expression[at[1]:]))
		}
		seen[name] = true
	}
	return ""
}

// plain is a text that %q only puts in quotes: PCRE's message escapes nothing.
type plain string

// Format implements fmt.Formatter.
func (p plain) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(`"` + string(p) + `"`)) }

// routeExpressionProblem is what the router of flavor traditional_compatible has against a route: it turns it into an
// expression of its own, whose regular expressions, of paths and of header values, know neither looking around nor
// back-references. Kong's message goes on to draw the place.
func routeExpressionProblem(route object) string {
	var expressions []string
	for _, path := range Names(route["paths"]) {
		if expression, isExpression := strings.CutPrefix(path, "~"); isExpression {
			expressions = append(expressions, expression)
		}
	}
	headers, _ := route["headers"].(object)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if len(Names(headers[name])) == 0 {
			return "Router Expression failed validation: expected term"
		}
		for _, value := range Names(headers[name]) {
			if expression, isExpression := strings.CutPrefix(value, "~*"); isExpression {
				expressions = append(expressions, expression)
			}
		}
	}
	for _, expression := range expressions {
		if _, err := syntax.Parse(expression, syntax.Perl); err != nil || strayEscape(expression) {
			return "Router Expression failed validation: regex parse error: " + strconv.Quote(expression)
		}
	}
	return ""
}

// strayEscape says whether an expression escapes a sign that has no meaning of its own. Go lets that pass; the
// router's engine does not.
func strayEscape(expression string) bool {
	for at := 0; at+1 < len(expression); at++ {
		if expression[at] != '\\' {
			continue
		}
		at++
		if strings.IndexByte(" !\"%',/:;<=>@_`", expression[at]) >= 0 {
			return true
		}
	}
	return false
}

// Decimal reads a number as Lua's tonumber does.
func Decimal(text string) (float64, bool) {
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil
}
