package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// entityCheck is a rule about several fields of an entity (Schema.entity_checkers).
type entityCheck struct {
	// fields are what the check looks at, by path; of them, needed may not be missing.
	fields, needed []string
	// partial: run it also where none of the fields is there, if the entity is whole.
	partial bool
	// clean: run it only if none of the fields is wrong by itself.
	clean bool
	// decide says what is wrong with the entity, and adds to wrong what is wrong with a field.
	decide func(input object, whole bool, wrong Violations) string
}

// run does the check and notes its outcome under "@entity".
func (c *entityCheck) run(input object, whole bool, wrong Violations) {
	none, spoiled := true, false
	var missing []string
	for _, path := range c.fields {
		if _, there := PathOf(input, path); there {
			none = false
		} else if slices.Contains(c.needed, path) {
			missing = append(missing, path)
		}
		spoiled = spoiled || wrong[path] != nil
	}
	if spoiled && c.clean || none && (!c.partial || !whole) {
		return
	}
	if len(missing) > 0 {
		for _, path := range missing {
			message := "field required for entity check"
			if !whole {
				message += " when updating"
			}
			SetPath(wrong, strings.Split(path, "."), message)
		}
		return
	}
	if problem := c.decide(input, whole, wrong); problem != "" {
		former, _ := wrong["@entity"].([]any)
		wrong["@entity"] = append(former, problem)
	}
}

// parseChecks reads an entity's checks. find gives a field by its path.
func parseChecks(at string, raw any, find func(path string) *Field) ([]*entityCheck, error) {
	var checks []*entityCheck
	err := eachCheck(raw, func(name string, argument any) error {
		maker := checkMakers[name]
		if maker == nil {
			return &schemaError{at, "unknown entity check " + name}
		}
		c, err := maker(argument, find)
		if err != nil {
			return &schemaError{at, name + ": " + err.Error()}
		}
		checks = append(checks, c)
		return nil
	})
	return checks, err
}

func eachCheck(raw any, visit func(name string, argument any) error) error {
	entries, _ := raw.([]any)
	for _, entry := range entries {
		one, _ := entry.(object)
		for _, name := range slices.Sorted(maps.Keys(one)) {
			if err := visit(name, one[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

type checkMaker func(argument any, find func(path string) *Field) (*entityCheck, error)

var checkMakers map[string]checkMaker

func init() { // it refers to itself by way of records' own checks
	checkMakers = map[string]checkMaker{
		"at_least_one_of":             atLeastOneOf,
		"only_one_of":                 onlyOneOf,
		"mutually_required":           mutuallyRequired,
		"conditional":                 conditional,
		"conditional_at_least_one_of": conditionalAtLeastOneOf,
		"custom_entity_check":         customCheck,
	}
}

// Names gives the texts of a list.
func Names(argument any) []string {
	list, _ := argument.([]any)
	texts := make([]string, 0, len(list))
	for _, element := range list {
		text, _ := element.(string)
		texts = append(texts, text)
	}
	return texts
}

func quoted(words []string) string { return "'" + strings.Join(words, "', '") + "'" }

// nonEmpty says whether a value is there and holds something.
func nonEmpty(input object, path string) bool {
	value, _ := PathOf(input, path)
	switch v := value.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case object:
		return len(v) > 0
	default:
		return true
	}
}

func countSet(input object, paths []string) int {
	count := 0
	for _, path := range paths {
		if nonEmpty(input, path) {
			count++
		}
	}
	return count
}

func atLeastOneOf(argument any, _ func(string) *Field) (*entityCheck, error) {
	paths := Names(argument)
	return &entityCheck{fields: paths, partial: true, decide: func(input object, whole bool, _ Violations) string {
		if countSet(input, paths) > 0 {
			return ""
		}
		return when(whole) + "at least one of these fields must be non-empty: " + quoted(paths)
	}}, nil
}

func when(whole bool) string {
	if whole {
		return ""
	}
	return "when updating, "
}

func onlyOneOf(argument any, _ func(string) *Field) (*entityCheck, error) {
	paths := Names(argument)
	return &entityCheck{fields: paths, needed: paths, decide: func(input object, _ bool, _ Violations) string {
		if countSet(input, paths) == 1 {
			return ""
		}
		return "exactly one of these fields must be non-empty: " + quoted(paths)
	}}, nil
}

func mutuallyRequired(argument any, _ func(string) *Field) (*entityCheck, error) {
	paths := Names(argument)
	return &entityCheck{fields: paths, partial: true, clean: true, decide: func(input object, _ bool, _ Violations) string {
		if n := countSet(input, paths); n == 0 || n == len(paths) {
			return ""
		}
		return "all or none of these fields must be set: " + quoted(paths)
	}}, nil
}

// over is a field with the rules of a condition laid over its own.
func over(base *Field, rules any) (*Field, error) {
	combined := object{}
	if base != nil {
		maps.Copy(combined, base.raw)
	}
	extra, ok := rules.(object)
	if !ok {
		return nil, fmt.Errorf("no object: %v", rules)
	}
	maps.Copy(combined, extra)
	f, err := parseField("condition", "", combined)
	if err == nil && base != nil {
		f.foreign = base.foreign
	}
	return f, err
}

// conditional: where one field passes some rules, another has to pass others.
func conditional(argument any, find func(string) *Field) (*entityCheck, error) {
	a, _ := argument.(object)
	ifField, _ := a["if_field"].(string)
	thenField, _ := a["then_field"].(string)
	thenMessage, _ := a["then_err"].(string)
	condition, err := over(find(ifField), a["if_match"])
	if err != nil {
		return nil, err
	}
	demand, err := over(find(thenField), a["then_match"])
	if err != nil {
		return nil, err
	}
	decide := func(input object, _ bool, wrong Violations) string {
		given, _ := PathOf(input, ifField)
		if condition.Check(given) != nil {
			return ""
		}
		value, _ := PathOf(input, thenField)
		problem := demand.Check(value)
		if problem == nil {
			return ""
		}
		SetPath(wrong, strings.Split(thenField, "."), problem)
		if thenMessage != "" {
			return thenMessage
		}
		return "failed conditional validation given value of field '" + ifField + "'"
	}
	return &entityCheck{fields: []string{ifField, thenField}, needed: []string{ifField}, decide: decide}, nil
}

// branch is one half of conditionalAtLeastOneOf.
type branch struct {
	condition *Field
	needed    []string
	message   string
}

func parseBranch(a object, base *Field, match, needed, message string) (*branch, error) {
	if a[match] == nil {
		return nil, nil //nolint:nilnil // There may be no such half.
	}
	condition, err := over(base, a[match])
	if err != nil {
		return nil, err
	}
	words, _ := a[message].(string)
	return &branch{condition: condition, needed: Names(a[needed]), message: words}, nil
}

func (b *branch) decide(input object, given any) (problem string, applies bool) {
	if b == nil || b.condition.Check(given) != nil {
		return "", false
	}
	if countSet(input, b.needed) > 0 {
		return "", true
	}
	if b.message == "" {
		return "at least one of these fields must be non-empty: " + quoted(b.needed), true
	}
	return strings.ReplaceAll(b.message, "%s", quoted(b.needed)), true
}

// conditionalAtLeastOneOf: where a field passes some rules, one of others has to be set.
func conditionalAtLeastOneOf(argument any, find func(string) *Field) (*entityCheck, error) {
	a, _ := argument.(object)
	ifField, _ := a["if_field"].(string)
	base := find(ifField)
	first, err := parseBranch(a, base, "if_match", "then_at_least_one_of", "then_err")
	if err != nil {
		return nil, err
	}
	second, err := parseBranch(a, base, "else_match", "else_then_at_least_one_of", "else_then_err")
	if err != nil {
		return nil, err
	}
	fields := append([]string{ifField}, first.needed...)
	if second != nil {
		fields = append(fields, second.needed...)
	}
	return &entityCheck{fields: fields, partial: true, decide: func(input object, _ bool, _ Violations) string {
		given, there := PathOf(input, ifField)
		if !there {
			return ""
		}
		problem, applies := first.decide(input, given)
		if !applies {
			problem, _ = second.decide(input, given)
		}
		return problem
	}}, nil
}

// only gives the fields of an entity that a check is given.
func only(input object, fields []string) object {
	left := maps.Clone(input)
	maps.DeleteFunc(left, func(name string, _ any) bool { return !slices.Contains(fields, name) })
	return left
}

// customCheck is a check that Kong has as code.
func customCheck(argument any, _ func(string) *Field) (*entityCheck, error) {
	a, _ := argument.(object)
	partial, _ := a["run_with_missing_fields"].(bool)
	sources := Names(a["field_sources"])
	c := &entityCheck{fields: sources, partial: partial, clean: true, decide: func(object, bool, Violations) string { return "" }}
	if slices.Contains(sources, "paths") {
		// Before 3.6 the check is given the paths alone: a header's expression that is none is taken.
		c.decide = func(input object, _ bool, _ Violations) string { return routeExpressionProblem(only(input, sources)) }
	}
	return c, nil
}
