package schema

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// LuaText writes a scalar as Lua's tostring does.
func LuaText(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', 14, 64)
	case int:
		return strconv.Itoa(v)
	default:
		return fmt.Sprint(v)
	}
}

var luaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// LuaTable writes a value in one line, as Kong's messages do (pl.pretty.write with no space).
func LuaTable(value any) string { return writeLua(value, "", "") }

// luaBlock writes a value over several lines.
func luaBlock(value any) string { return writeLua(value, "", "  ") }

// writeLua writes tables sorted by key; step is the indent of one level, or nothing for one line.
func writeLua(value any, indent, step string) string {
	var entries []string
	assign := " = "
	if step == "" {
		assign = "="
	}
	switch v := value.(type) {
	case string:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", "\\\n", "\r", `\r`).Replace(v) + `"`
	case []any:
		hole := false
		for i, element := range v {
			if element == nil {
				hole = true
				continue
			}
			key := ""
			if hole { // positions after a hole are written
				key = "[" + strconv.Itoa(i+1) + "]" + assign
			}
			entries = append(entries, key+writeLua(element, indent+step, step))
		}
	case object:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			key := name
			if !luaName.MatchString(name) {
				key = `["` + name + `"]`
			}
			entries = append(entries, key+assign+writeLua(v[name], indent+step, step))
		}
	default:
		return LuaText(value)
	}
	if step == "" {
		return "{" + strings.Join(entries, ",") + "}"
	}
	if len(entries) == 0 {
		return "{\n" + indent + "}"
	}
	lineStart := "\n" + indent + step
	return "{" + lineStart + strings.Join(entries, ","+lineStart) + "\n" + indent + "}"
}

// ViolationMessage sums violations up in an answer's message: two levels by path, what is below as a table
// (kong/db/errors.lua).
func ViolationMessage(wrong Violations) string {
	var parts []string
	entity, _ := wrong["@entity"].([]any)
	for _, problem := range entity {
		parts = append(parts, LuaText(problem))
	}
	below := func(path string, problem any) {
		text := LuaText(problem)
		switch problem.(type) {
		case []any, object:
			text = luaBlock(problem)
		}
		parts = append(parts, path+": "+text)
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		switch problem := wrong[name].(type) {
		case []any:
			if name == "@entity" {
				continue
			}
			for i, one := range problem {
				if one != nil {
					below(name+"."+strconv.Itoa(i+1), one)
				}
			}
		case object:
			for _, inner := range slices.Sorted(maps.Keys(problem)) {
				below(name+"."+inner, problem[inner])
			}
		default:
			below(name, problem)
		}
	}
	text := strings.Join(parts, "; ")
	if len(parts) == 1 {
		return "schema violation (" + text + ")"
	}
	return fmt.Sprintf("%d schema violations (%s)", len(parts), text)
}

// luaPattern turns one of Lua's patterns into an expression of Go. It knows what Kong's schemas use: anchors,
// classes, sets, repetition.
func luaPattern(value any) (*regexp.Regexp, error) {
	pattern, _ := value.(string)
	classes := map[byte]string{'u': "A-Z", 'l': "a-z", 'd': "0-9", 'w': "0-9A-Za-z", 'a': "A-Za-z", 's': `\s`, 'x': "0-9A-Fa-f"}
	var b strings.Builder
	inSet := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '%' && i+1 < len(pattern):
			i++
			class, known := classes[pattern[i]]
			switch {
			case known && inSet:
				b.WriteString(class)
			case known:
				b.WriteString("[" + class + "]")
			default:
				b.WriteString(regexp.QuoteMeta(string(pattern[i])))
			}
		case c == '[':
			inSet = true
			b.WriteByte(c)
		case c == ']':
			inSet = false
			b.WriteByte(c)
		case inSet || strings.IndexByte("^$*+?.()", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.Compile(b.String())
}
