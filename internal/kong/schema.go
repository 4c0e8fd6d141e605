package kong

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

// Schema is a plugin's schema, as far as it tells what Kong makes of a configuration.
type Schema struct {
	// Name is the plugin's.
	Name string
	// Config is the record of the plugin's configuration.
	Config Field
	// Protocols are the plugin's protocols where it is given none; nil where the schema does not say.
	Protocols []string
	// NoConsumer, NoService and NoRoute tell that the plugin cannot be set on one.
	NoConsumer, NoService, NoRoute bool
}

// Type is the type of a field, by Kong's name for it.
type Type string

// The types that Normalize treats in their own way; values of all others are scalars, or JSON as it is.
const (
	TypeString  Type = "string"
	TypeNumber  Type = "number"
	TypeInteger Type = "integer"
	TypeBoolean Type = "boolean"
	TypeArray   Type = "array"
	TypeSet     Type = "set"
	TypeMap     Type = "map"
	TypeRecord  Type = "record"
	TypeForeign Type = "foreign"
)

// Field is one field of a schema, or the elements of a list, or the values of a map.
type Field struct {
	Name string
	Type Type
	// Required fields take their default for null, others keep null.
	Required bool
	// HasDefault tells a default of null from none, which comes to the same for all but required fields.
	HasDefault bool
	Default    any
	// Elements describes the elements of an array or set, Values the values of a map.
	Elements, Values *Field
	// Fields are those of a record, in the schema's order; Shorthands are its other names for them.
	Fields     []Field
	Shorthands []Shorthand
	// OneOf are the values that are taken; nil for any.
	OneOf []any
	// Referenceable fields resolve vault references; Encrypted ones are secret.
	Referenceable, Encrypted bool
	// Auto fields are filled in by Kong: ids and times.
	Auto bool
}

// Shorthand is a name that a record takes in the place of one or more of its fields: mostly a
// deprecated one ("redis_host").
type Shorthand struct {
	Name string
	// Paths are the fields it stands for, within its record; nil where the schema does not tell.
	Paths [][]string
	// Mirrored tells that Kong answers with it too.
	Mirrored bool
}

// Find returns the field of that name in a record.
func (f Field) Find(name string) (Field, bool) {
	for _, field := range f.Fields {
		if field.Name == name {
			return field, true
		}
	}
	return Field{}, false
}

// PluginSchema reads the schema of a plugin. The error for a plugin that the node does not have is a
// NotFoundError.
func (c *Client) PluginSchema(ctx context.Context, name string) (Schema, error) {
	if name == "" {
		return Schema{}, errNoID
	}
	call := call{
		method:   http.MethodGet,
		kind:     kindSchema,
		template: "/schemas/plugins/{name}",
		path:     "/schemas/plugins/" + escape(name),
	}
	var body json.RawMessage
	if err := c.do(ctx, call, nil, &body); err != nil {
		return Schema{}, err
	}
	schema, err := ParseSchema(name, body)
	if err != nil {
		return Schema{}, &UnavailableError{Request: call.request(http.StatusOK), Cause: CauseNotKong, err: err}
	}
	return schema, nil
}

// rawField is a field as /schemas writes it. What differs between versions of Kong is decoded later,
// leniently.
type rawField struct {
	Type          Type                  `json:"type"`
	Required      *bool                 `json:"required"`
	Default       json.RawMessage       `json:"default"`
	Eq            json.RawMessage       `json:"eq"`
	Elements      *rawField             `json:"elements"`
	Values        *rawField             `json:"values"`
	Fields        []map[string]rawField `json:"fields"`
	Shorthands    json.RawMessage       `json:"shorthand_fields"`
	OneOf         json.RawMessage       `json:"one_of"`
	Referenceable bool                  `json:"referenceable"`
	Auto          bool                  `json:"auto"`
	Encrypted     json.RawMessage       `json:"encrypted"`
}

type rawShorthand struct {
	Deprecation struct {
		Message      string `json:"message"`
		ReplacedWith []struct {
			Path []string `json:"path"`
		} `json:"replaced_with"`
	} `json:"deprecation"`
	TranslateBackwards []string `json:"translate_backwards"`
}

var errNoSchema = errors.New("the answer is no plugin schema")

// ParseSchema reads the answer to GET /schemas/plugins/NAME.
func ParseSchema(name string, body []byte) (Schema, error) {
	var root struct {
		Fields []map[string]rawField `json:"fields"`
	}
	if json.Unmarshal(body, &root) != nil {
		return Schema{}, errNoSchema
	}
	schema := Schema{Name: name}
	for _, item := range root.Fields {
		for fieldName, raw := range item {
			never := string(raw.Eq) == "null"
			switch fieldName {
			case "config":
				schema.Config = raw.field(fieldName)
			case "protocols":
				_ = json.Unmarshal(raw.Default, &schema.Protocols)
			case "consumer":
				schema.NoConsumer = never
			case "service":
				schema.NoService = never
			case "route":
				schema.NoRoute = never
			}
		}
	}
	if schema.Config.Type != TypeRecord {
		return Schema{}, errNoSchema
	}
	return schema, nil
}

func (r rawField) field(name string) Field {
	f := Field{
		Name:          name,
		Type:          r.Type,
		Required:      r.Required != nil && *r.Required,
		HasDefault:    r.Default != nil,
		Referenceable: r.Referenceable,
		Auto:          r.Auto,
		Encrypted:     string(r.Encrypted) == "true",
	}
	if r.Type == TypeRecord && r.Required == nil {
		// Records of entities are required unless they say otherwise (kong/db/schema/entity.lua).
		f.Required = true
	}
	if r.Default != nil {
		_ = json.Unmarshal(r.Default, &f.Default)
	}
	if r.OneOf != nil {
		_ = json.Unmarshal(r.OneOf, &f.OneOf)
	}
	if r.Elements != nil {
		elements := r.Elements.field("")
		f.Elements = &elements
	}
	if r.Values != nil {
		values := r.Values.field("")
		f.Values = &values
	}
	for _, item := range r.Fields {
		for fieldName, raw := range item {
			f.Fields = append(f.Fields, raw.field(fieldName))
		}
	}
	f.Shorthands = shorthands(r.Shorthands)
	return f
}

func shorthands(body json.RawMessage) []Shorthand {
	var items []map[string]json.RawMessage
	_ = json.Unmarshal(body, &items)
	var out []Shorthand
	for _, item := range items {
		for name, body := range item {
			var raw rawShorthand
			_ = json.Unmarshal(body, &raw)
			out = append(out, raw.shorthand(name))
		}
	}
	return out
}

// deprecated is how Kong's deprecation messages name the new field, for the schemas that have no
// replaced_with (before Kong 3.8, and a few since).
var deprecated = regexp.MustCompile(`config\.([\w.]+) is deprecated, please use config\.([\w.]+)`)

func (r rawShorthand) shorthand(name string) Shorthand {
	s := Shorthand{Name: name}
	for _, replacement := range r.Deprecation.ReplacedWith {
		if len(replacement.Path) > 0 {
			s.Paths = append(s.Paths, replacement.Path)
		}
	}
	if len(s.Paths) == 0 && len(r.TranslateBackwards) > 0 {
		s.Paths = [][]string{r.TranslateBackwards}
	}
	s.Mirrored = len(s.Paths) > 0
	if s.Mirrored {
		return s
	}
	if match := deprecated.FindStringSubmatch(r.Deprecation.Message); match != nil {
		// Both are paths from the config's root; the shorthand's own place is where its record is.
		parent := strings.TrimSuffix(match[1], name)
		if target, below := strings.CutPrefix(match[2], parent); below && parent != match[1] {
			s.Paths = [][]string{strings.Split(target, ".")}
		}
	}
	return s
}
