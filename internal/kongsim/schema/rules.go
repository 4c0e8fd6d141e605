package schema

import (
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// rule checks a value of the right type and says what is wrong in Kong's words, or nothing.
type rule func(value any) string

// parseRules reads a field's rules, in the order in which Kong applies them (Schema.validators_order).
func parseRules(at, kind string, raw object) ([]rule, error) {
	var rules []rule
	if kind == "string" {
		if _, given := raw["len_min"]; !given {
			raw = withDefault(raw, "len_min", 1.0)
		}
	}
	for _, name := range ruleOrder {
		argument, given := raw[name]
		if !given {
			continue
		}
		r, err := ruleMakers[name](argument)
		if err != nil {
			return nil, &schemaError{at, name + ": " + err.Error()}
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func withDefault(raw object, name string, value any) object {
	extended := make(object, len(raw)+1)
	for key, inner := range raw {
		extended[key] = inner
	}
	extended[name] = value
	return extended
}

var ruleOrder = []string{
	"eq", "ne", "not_one_of", "one_of", "gt", "timestamp", "uuid", "is_regex", "between", "len_eq", "len_min", "len_max", "starts_with",
	"not_match", "match_none", "match", "match_all", "match_any", "contains", "custom_validator", "mutually_exclusive_subsets",
}

var ruleMakers map[string]func(argument any) (rule, error)

func init() { // it refers to itself by way of custom rules
	ruleMakers = map[string]func(any) (rule, error){
		"eq":         func(a any) (rule, error) { return equals(a), nil },
		"ne":         func(a any) (rule, error) { return differs(a), nil },
		"one_of":     func(a any) (rule, error) { return oneOf(a), nil },
		"not_one_of": func(a any) (rule, error) { return notOneOf(a), nil },
		"gt":         func(a any) (rule, error) { return greater(a), nil },
		"timestamp":  func(any) (rule, error) { return isTimestamp, nil },
		"uuid":       func(any) (rule, error) { return isUUIDRule, nil },
		"is_regex":   func(any) (rule, error) { return isRegexRule, nil },
		"between":    func(a any) (rule, error) { return between(a), nil },
		"len_eq": func(a any) (rule, error) {
			return length(a, "length must be ", func(n, m int) bool { return n == m }), nil
		},
		"len_min": func(a any) (rule, error) {
			return length(a, "length must be at least ", func(n, m int) bool { return n >= m }), nil
		},
		"len_max": func(a any) (rule, error) {
			return length(a, "length must be at most ", func(n, m int) bool { return n <= m }), nil
		},
		"starts_with":                func(a any) (rule, error) { return startsWith(a), nil },
		"not_match":                  func(a any) (rule, error) { return matchOne(a, false) },
		"match":                      func(a any) (rule, error) { return matchOne(a, true) },
		"match_none":                 func(a any) (rule, error) { return matchEach(a, false) },
		"match_all":                  func(a any) (rule, error) { return matchEach(a, true) },
		"match_any":                  matchAny,
		"contains":                   func(a any) (rule, error) { return contains(a), nil },
		"custom_validator":           customRule,
		"mutually_exclusive_subsets": func(a any) (rule, error) { return subsets(a), nil },
	}
}

func equals(wanted any) rule {
	return func(value any) string {
		if reflect.DeepEqual(value, wanted) {
			return ""
		}
		return "value must be " + LuaText(wanted)
	}
}

func differs(unwanted any) rule {
	return func(value any) string {
		if !reflect.DeepEqual(value, unwanted) {
			return ""
		}
		return "value must not be " + LuaText(value)
	}
}

func listed(options any) ([]any, string) {
	list, _ := options.([]any)
	words := make([]string, 0, len(list))
	for _, option := range list {
		words = append(words, LuaText(option))
	}
	return list, strings.Join(words, ", ")
}

// OneOf is what is wrong with a value that is none of the options; empty where it is one.
func OneOf(value any, options []any) string { return oneOf(options)(value) }

func oneOf(options any) rule {
	list, words := listed(options)
	return func(value any) string {
		if among(value, list) {
			return ""
		}
		return "expected one of: " + words
	}
}

func notOneOf(options any) rule {
	list, words := listed(options)
	return func(value any) string {
		if !among(value, list) {
			return ""
		}
		return "must not be one of: " + words
	}
}

func among(value any, list []any) bool {
	for _, other := range list {
		if sameScalar(value, other) {
			return true
		}
	}
	return false
}

func greater(limit any) rule {
	least, _ := limit.(float64)
	return func(value any) string {
		if number, _ := value.(float64); number > least {
			return ""
		}
		return "value must be greater than " + LuaText(limit)
	}
}

func isTimestamp(value any) string {
	if number, _ := value.(float64); number > 0 {
		return ""
	}
	return "expected a valid timestamp"
}

func isUUIDRule(value any) string {
	if text, _ := value.(string); IsUUID(text) {
		return ""
	}
	return "expected a valid UUID"
}

func isRegexRule(value any) string {
	text, _ := value.(string)
	if pcreProblem(text) == "" {
		return ""
	}
	return "not a valid regex: " + text
}

func between(limits any) rule {
	pair, _ := limits.([]any)
	low, _ := pair[0].(float64)
	high, _ := pair[1].(float64)
	whole := func(n float64) string { return strconv.FormatInt(int64(math.Trunc(n)), 10) }
	return func(value any) string {
		if number, _ := value.(float64); number >= low && number <= high {
			return ""
		}
		return "value should be between " + whole(low) + " and " + whole(high)
	}
}

func length(limit any, words string, holds func(have, limit int) bool) rule {
	number, _ := limit.(float64)
	return func(value any) string {
		have := 0
		switch v := value.(type) {
		case string:
			have = len(v)
		case []any:
			have = len(v)
		case object:
			have = len(v)
		}
		if holds(have, int(number)) {
			return ""
		}
		return words + strconv.Itoa(int(number))
	}
}

func startsWith(prefix any) rule {
	wanted, _ := prefix.(string)
	return func(value any) string {
		if text, _ := value.(string); strings.HasPrefix(text, wanted) {
			return ""
		}
		return "should start with: " + wanted
	}
}

func matchOne(pattern any, wanted bool) (rule, error) {
	expression, err := luaPattern(pattern)
	if err != nil {
		return nil, err
	}
	return func(value any) string {
		text, _ := value.(string)
		if expression.MatchString(text) == wanted {
			return ""
		}
		return "invalid value: " + text
	}, nil
}

// matchEach wants a text to match all of some patterns, or none.
func matchEach(list any, wanted bool) (rule, error) {
	type pattern struct {
		expression *regexp.Regexp
		message    string
	}
	var patterns []pattern
	entries, _ := list.([]any)
	for _, entry := range entries {
		one, _ := entry.(object)
		expression, err := luaPattern(one["pattern"])
		if err != nil {
			return nil, err
		}
		message, _ := one["err"].(string)
		patterns = append(patterns, pattern{expression, message})
	}
	return func(value any) string {
		text, _ := value.(string)
		for _, p := range patterns {
			if p.expression.MatchString(text) != wanted {
				return p.message
			}
		}
		return ""
	}, nil
}

func matchAny(argument any) (rule, error) {
	one, _ := argument.(object)
	list, _ := one["patterns"].([]any)
	message, _ := one["err"].(string)
	if message == "" {
		message = "invalid value"
	}
	var expressions []*regexp.Regexp
	for _, pattern := range list {
		expression, err := luaPattern(pattern)
		if err != nil {
			return nil, err
		}
		expressions = append(expressions, expression)
	}
	return func(value any) string {
		text, _ := value.(string)
		for _, expression := range expressions {
			if expression.MatchString(text) {
				return ""
			}
		}
		return message
	}, nil
}

func contains(wanted any) rule {
	return func(value any) string {
		if list, _ := value.([]any); among(wanted, list) {
			return ""
		}
		return "expected to contain: " + LuaText(wanted)
	}
}

// subsets refuses a list with elements of several sets.
func subsets(argument any) rule {
	sets, _ := argument.([]any)
	return func(value any) string {
		list, _ := value.([]any)
		var met []string
		seen := map[int]bool{}
		for _, element := range list {
			for i, set := range sets {
				members, words := listed(set)
				if !seen[i] && among(element, members) {
					seen[i] = true
					met = append(met, "('"+strings.ReplaceAll(words, ", ", "', '")+"')")
				}
			}
		}
		if len(met) <= 1 {
			return ""
		}
		return "these sets are mutually exclusive: " + strings.Join(met, ", ")
	}
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// IsUUID says whether a text has the form of a UUID.
func IsUUID(text string) bool { return uuidForm.MatchString(text) }
