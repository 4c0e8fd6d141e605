package kong

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scrubber makes Kong's reasons fit to be shown. Kong repeats what was submitted ("invalid value:
// ..."), which for most fields helps and for some gives a secret away.
type scrubber struct {
	kind Kind
	// secrets are the strings of the submitted body that may be secret, and their parts, the longest first.
	secrets []string
}

// A part of a submitted value shorter than minPart says nothing; a whole value shorter than minWhole
// cannot be told from a word of the reason.
const (
	minPart   = 8
	minWhole  = 4
	maxReason = 300
)

func newScrubber(kind Kind, sent Fields, token string) scrubber {
	s := scrubber{kind: kind}
	s.collect(token)
	for name, value := range sent {
		if s.sensitive(name) {
			s.collect(plain(value))
		}
	}
	slices.SortFunc(s.secrets, func(a, b string) int { return len(b) - len(a) })
	s.secrets = slices.Compact(s.secrets)
	return s
}

// sensitive tells whether values of the field at that path can be secret: credentials' material,
// whatever is in a plugin's config, and the headers that a route asks for.
func (s scrubber) sensitive(path string) bool {
	name := path
	if end := strings.IndexAny(path, ".["); end >= 0 {
		name = path[:end]
	}
	switch s.kind {
	case KindJWT:
		return name != "algorithm" && name != "key" && name != "tags" && name != "consumer"
	case KindPlugin:
		return name == "config" || strings.HasPrefix(name, "@")
	case KindRoute:
		return name == "headers" || strings.HasPrefix(name, "@")
	}
	return false
}

func (s *scrubber) collect(value any) {
	switch value := value.(type) {
	case string:
		if len(value) >= minWhole {
			s.secrets = append(s.secrets, value)
		}
		for _, part := range strings.FieldsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			if len(part) >= minPart && part != value {
				s.secrets = append(s.secrets, part)
			}
		}
	case []string:
		for _, v := range value {
			s.collect(v)
		}
	case []any:
		for _, v := range value {
			s.collect(v)
		}
	case map[string]string:
		for _, v := range value {
			s.collect(v)
		}
	case map[string]any:
		for _, v := range value {
			s.collect(v)
		}
	}
}

var (
	// schemaReason is what Kong says of a field without repeating its value: all of it is the schema's own text.
	schemaReason = regexp.MustCompile(`^(required field missing|unknown field|expected (an? [a-z]+|one of: .*|to contain: .*)|` +
		`length must be .*|value (must|should) be .*|invalid key|cannot be .*|must be .*|` +
		`failed conditional validation given value of field '[\w.]+'|[a-z ]+ one of these fields must be .*|` +
		`The limit for [a-z]+\([0-9.]+\) cannot be lower than the limit for [a-z]+\([0-9.]+\))$`)
	repeatedValue = regexp.MustCompile(`(?is)\b(invalid [^:'"]*:).*`)
	quoted        = regexp.MustCompile(`(?s)'[^']*'|"[^"]*"`)
	quotedField   = regexp.MustCompile(`^['"][@a-z0-9_.-]{1,40}['"]$`)
)

// reason is Kong's reason for the field at that path, without what could be secret.
func (s scrubber) reason(path, reason string) string {
	own := schemaReason.MatchString(reason)
	for _, secret := range s.secrets {
		if !own || len(secret) >= minPart {
			reason = strings.ReplaceAll(reason, secret, redacted)
		}
	}
	if s.sensitive(path) && !own {
		reason = repeatedValue.ReplaceAllString(reason, "$1 "+redacted)
		reason = quoted.ReplaceAllStringFunc(reason, func(segment string) string {
			if quotedField.MatchString(segment) {
				return segment
			}
			return "'" + redacted + "'"
		})
	}
	return clip(reason, maxReason)
}

// path is the path of a field, whose names can be a map's keys and so the submitter's own.
func (s scrubber) path(path string) string {
	for _, secret := range s.secrets {
		if len(secret) >= minPart {
			path = strings.ReplaceAll(path, secret, redacted)
		}
	}
	return clip(path, maxReason)
}

// clip bounds a text and takes control characters, which would break a log line, out of it.
func clip(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}
