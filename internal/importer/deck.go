package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// deckFormat is the version of decK's file that is read.
const deckFormat = "3.0"

// ReadDeck reads a file of decK's format 3.0: entities nested under what they hang on, or beside it with a reference
// by name. What it holds of other kinds is left. Errors quote nothing of the file: it holds secrets.
func ReadDeck(content []byte) (entities []kong.Entity, left []Left, err error) {
	var file map[string]any
	if err := yaml.Unmarshal(content, &file); err != nil || file == nil {
		return nil, nil, errors.New("this is no YAML or JSON object")
	}
	if version, _ := file["_format_version"].(string); version != deckFormat {
		return nil, nil, fmt.Errorf("_format_version is %q; %q is read, which deck convert makes of older files", version, deckFormat)
	}
	r := &deckReader{ids: map[string]string{}, configs: asObject(file["_plugin_configs"])}
	info := asObject(file["_info"])
	r.tags, _ = info["select_tags"].([]any)
	r.defaults = asObject(info["defaults"])
	if workspace, _ := file["_workspace"].(string); workspace != "" && workspace != "default" {
		r.left = append(r.left, Left{What: "workspace " + workspace, Why: "set it in spec.adminAPI.workspace of the KongGateway"})
	}
	for _, section := range slices.Sorted(maps.Keys(file)) {
		if strings.HasPrefix(section, "_") {
			continue
		}
		kind, known := deckSections[section]
		if !known {
			r.left = append(r.left, Left{What: section, Why: "decK's section is of a kind that resources have no place for"})
			continue
		}
		r.section(file, section, kind, kong.Entity{})
	}
	r.resolve()
	return r.entities, r.left, nil
}

// deckSections are the lists of decK's format that are read, and what is in them.
var deckSections = map[string]kong.Kind{
	"services": kong.KindService, "routes": kong.KindRoute, "plugins": kong.KindPlugin,
	"consumers": kong.KindConsumer, "jwt_secrets": kong.KindJWT, "acls": kong.KindACL,
}

// deckReader flattens a file.
type deckReader struct {
	entities []kong.Entity
	left     []Left
	// ids by kind and name, for references by name.
	ids map[string]string
	// tags that decK gives to everything in the file (_info.select_tags), and fields that it gives to entities
	// without them, by kind (_info.defaults).
	tags     []any
	defaults map[string]any
	// configs of plugins that share them (_plugin_configs), by name.
	configs map[string]any
}

// section reads a list, and what is nested in its items.
func (r *deckReader) section(holder map[string]any, name string, kind kong.Kind, parent kong.Entity) {
	items, _ := holder[name].([]any)
	for i, item := range items {
		fields, ok := item.(map[string]any)
		if !ok {
			r.left = append(r.left, Left{What: fmt.Sprintf("%s[%d]", name, i), Why: "it is no object"})
			continue
		}
		r.entity(maps.Clone(fields), kind, parent, fmt.Sprintf("%s/%s[%d]", parent.ID, name, i))
	}
}

func (r *deckReader) entity(fields map[string]any, kind kong.Kind, parent kong.Entity, position string) {
	e := kong.Entity{Kind: kind, Fields: kong.Fields{}}
	if e.ID, _ = fields["id"].(string); e.ID == "" {
		e.ID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(position)).String()
	}
	for name, value := range asObject(r.defaults[strings.TrimSuffix(string(kind), "s")]) {
		if _, given := fields[name]; !given {
			fields[name] = value
		}
	}
	nested := map[string]any{}
	for name, value := range fields {
		_, isList := value.([]any)
		_, section := deckSections[name]
		switch {
		case name == "id" || name == "created_at" || name == "updated_at":
		case name == "_config":
			shared, _ := value.(string)
			e.Fields["config"] = r.config(fields, shared)
		case name == "config" && fields["_config"] != nil:
		case kind == kong.KindConsumer && name == "groups":
			r.left = append(r.left, Left{What: "groups of consumer " + display(kong.Entity{Fields: fields}), Why: "a JwtConsumer has the groups of acl alone, and no consumer groups"})
		case isList && (section || strings.HasSuffix(name, "_credentials") || strings.HasSuffix(name, "auth")):
			nested[name] = value
		default:
			e.Fields[name] = value
		}
	}
	if own, _ := e.Fields["tags"].([]any); len(r.tags) > 0 {
		e.Fields["tags"] = slices.Concat(own, r.tags)
	}
	switch parent.Kind {
	case kong.KindConsumer:
		e.ConsumerID = parent.ID
		if kind == kong.KindPlugin {
			e.ConsumerID, e.Fields["consumer"] = "", map[string]any{"id": parent.ID}
		}
	case kong.KindService:
		e.Fields["service"] = map[string]any{"id": parent.ID}
	case kong.KindRoute:
		e.Fields["route"] = map[string]any{"id": parent.ID}
	}
	if kind == kong.KindService {
		expandURL(e.Fields)
	}
	r.ids[string(kind)+"/"+nameOf(e)] = e.ID
	r.entities = append(r.entities, e)
	for _, name := range slices.Sorted(maps.Keys(nested)) {
		kind, known := deckSections[name]
		if !known {
			r.left = append(r.left, Left{What: name + " of " + e.Kind.Singular() + " " + display(e), Why: "a JwtConsumer has JWT credentials alone"})
			continue
		}
		r.section(nested, name, kind, e)
	}
}

// config is a plugin's own on top of the one that it shares.
func (r *deckReader) config(plugin map[string]any, shared string) map[string]any {
	all := maps.Clone(asObject(r.configs[shared]))
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, asObject(plugin["config"]))
	return all
}

// resolve turns references by name, as decK writes them, into references by id.
func (r *deckReader) resolve() {
	for i := range r.entities {
		e := &r.entities[i]
		for field, kind := range map[string]kong.Kind{"service": kong.KindService, "route": kong.KindRoute, "consumer": kong.KindConsumer} {
			name := e.Fields.Text(field)
			if ref := e.Fields.Object(field); name == "" && ref["id"] == nil {
				name, _ = ref["name"].(string)
			}
			if name == "" {
				continue
			}
			id := name
			if known, found := r.ids[string(kind)+"/"+name]; found {
				id = known
			}
			e.Fields[field] = map[string]any{"id": id}
			if field == "consumer" && (e.Kind == kong.KindJWT || e.Kind == kong.KindACL) {
				e.ConsumerID = id
				delete(e.Fields, field)
			}
		}
	}
}

// expandURL does what Kong does with the shorthand, and fills in the defaults that a file leaves out.
func expandURL(fields kong.Fields) {
	raw := fields.Text("url")
	if u, err := url.Parse(raw); raw != "" && err == nil {
		fields["protocol"], fields["host"] = u.Scheme, u.Hostname()
		if port, err := strconv.Atoi(u.Port()); err == nil {
			fields["port"] = json.Number(strconv.Itoa(port))
		} else {
			fields["port"] = json.Number(map[string]string{"https": "443", "grpcs": "443"}[u.Scheme])
		}
		if u.Path != "" {
			fields["path"] = u.EscapedPath()
		}
	}
	if len(variables(raw)) == 0 { // a placeholder is told later
		delete(fields, "url")
	}
	if fields.Text("protocol") == "" {
		fields["protocol"] = "http"
	}
	if fields["port"] == nil || fields["port"] == json.Number("") {
		fields["port"] = json.Number("80")
	}
}
