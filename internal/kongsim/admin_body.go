package kongsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

const formType = "application/x-www-form-urlencoded"

// acceptable refuses a body of a type that Kong does not read.
func acceptable(c *call) *failed {
	if c.Method != http.MethodPut && c.Method != http.MethodPost && c.Method != http.MethodPatch {
		return nil
	}
	contentType := c.Header.Get("Content-Type")
	prefixes := []string{"application/json", "multipart/form-data", formType}
	if c.segments[0] == "config" {
		prefixes = append(prefixes, "application/yaml", "text/yaml")
	}
	has := func(prefix string) bool { return strings.HasPrefix(contentType, prefix) }
	if slices.ContainsFunc(prefixes, has) || contentType == "" && c.ContentLength == 0 {
		return nil
	}
	return &failed{status: http.StatusUnsupportedMediaType}
}

// content reads the whole body, up to nginx_admin_client_max_body_size.
func (a *admin) content(c *call) ([]byte, *failed) {
	content, err := io.ReadAll(http.MaxBytesReader(nil, c.Body, a.options.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &failed{status: http.StatusRequestEntityTooLarge}
	case err != nil:
		return nil, unexpected()
	}
	return content, nil
}

// readWith reads an entity from a body: JSON, or a form with a.b for nested fields and a[] for lists. The body may
// leave out what is known.
func (a *admin) readWith(c *call, k *kind, known object) (object, *failed) {
	content, problem := a.content(c)
	if problem != nil {
		return nil, problem
	}
	contentType := strings.ToLower(c.Header.Get("Content-Type"))
	var input object
	switch {
	case strings.HasPrefix(contentType, formType):
		input = readForm(string(content))
	case strings.HasPrefix(contentType, "application/json"):
		input, problem = readJSON(content)
	default:
		input = object{}
	}
	if problem != nil {
		return nil, problem
	}
	for name, value := range known {
		if input[name] == nil {
			input[name] = value
		}
	}
	if strings.HasPrefix(contentType, formType) {
		a.library.Entities[k.name].Infer(input)
	}
	return input, nil
}

func readJSON(content []byte) (object, *failed) {
	var value any
	if err := json.Unmarshal(content, &value); err != nil || depthOf(content) > maxDepth {
		return nil, message(http.StatusBadRequest, "Cannot parse JSON body")
	}
	input, isRecord := schema.AsRecord(value)
	if !isRecord {
		return nil, unexpected() // a list, a text, a number: Kong's code fails on it
	}
	return input, nil
}

// maxDepth is how deep JSON may be nested (cjson's decode_max_depth).
const maxDepth = 1000

// depthOf is how deep valid JSON is nested.
func depthOf(content []byte) int {
	depth, deepest, inText := 0, 0, false
	for at := 0; at < len(content); at++ {
		switch c := content[at]; {
		case inText && c == '\\':
			at++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// readForm reads a form's values, all texts, into a structure (kong/api/arguments_decoder.lua).
func readForm(content string) object {
	values, err := url.ParseQuery(content)
	if err != nil {
		return object{} // Kong takes what it cannot read for nothing
	}
	input := object{}
	for name, texts := range values {
		place(input, formPath(name), texts)
	}
	return input
}

var formSegment = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// formPath takes a name apart: a.b[c][] is a, b, c and a list.
func formPath(name string) []string {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
		return []string{name}
	}
	return formSegment.FindAllString(name, -1)
}

// place puts a form's values where their name says.
func place(into object, path []string, texts []string) {
	if len(path) == 0 {
		return
	}
	list := false
	for len(path) > 1 && isIndex(path[len(path)-1]) {
		list, path = true, path[:len(path)-1]
	}
	var value any = texts[0]
	if list || len(texts) > 1 {
		many := make([]any, 0, len(texts))
		for _, text := range texts {
			many = append(many, text)
		}
		value = many
	}
	names := make([]string, 0, len(path))
	for _, segment := range path {
		names = append(names, strings.Trim(segment, "[]"))
	}
	former, _ := schema.PathOf(into, strings.Join(names, "."))
	before, isList := former.([]any)
	if more, ok := value.([]any); ok && isList {
		value = append(before, more...)
	}
	schema.SetPath(into, names, value)
}

// isIndex says whether a segment stands for an element of a list: [] or [3].
func isIndex(segment string) bool {
	inner, ok := strings.CutPrefix(segment, "[")
	if !ok {
		return false
	}
	inner = strings.TrimSuffix(inner, "]")
	_, err := strconv.Atoi(inner)
	return inner == "" || err == nil
}
