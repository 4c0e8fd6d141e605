package importer

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"sigs.k8s.io/yaml"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Annotations and labels of Kong's ingress controller.
const (
	kicPrefix         = "konghq.com/"
	kicCredential     = kicPrefix + "credential"
	kicCredentialType = "kongCredType" // in a Secret's data, before there was a label
)

// kongConsumerField is set in a consumer that is a KongConsumer: its name. Kong has no such field.
const kongConsumerField = "kong_consumer"

// ReadKIC reads manifests of Kong's ingress controller that are in a namespace, or say none, into what it makes of
// them in Kong: consumers with their JWT credentials and groups, and for each backend of an Ingress a service with
// routes and plugins. What it does not read is left.
func ReadKIC(manifests []map[string]any, namespace string) (entities []kong.Entity, left []Left) {
	r := &kicReader{namespace: namespace, objects: map[string]kicObject{}}
	for _, manifest := range manifests {
		r.object(manifest)
	}
	for _, o := range r.ordered() {
		switch o.kind {
		case "KongConsumer":
			r.consumer(o)
		case "Ingress":
			r.ingress(o)
		}
	}
	r.unused()
	return r.entities, r.left
}

// kicObject is a manifest.
type kicObject struct {
	kind, name string
	fields     kong.Fields
}

func (o kicObject) String() string { return o.kind + " " + o.name }

// annotation gives one of the ingress controller's, by the name after the slash.
func (o kicObject) annotation(name string) string {
	text, _ := o.metadata("annotations")[kicPrefix+name].(string)
	return text
}

func (o kicObject) metadata(field string) map[string]any {
	return kong.Fields(o.fields.Object("metadata")).Object(field)
}

func (o kicObject) spec() kong.Fields { return o.fields.Object("spec") }

func (o kicObject) tags() []any {
	var tags []any
	for _, tag := range words(o.annotation("tags")) {
		tags = append(tags, tag)
	}
	return tags
}

// words of an annotation that is a list.
func words(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), func(s string) bool { return s == "" })
}

// kicReader makes entities of manifests.
type kicReader struct {
	namespace string
	objects   map[string]kicObject
	// used are the plugins and Secrets that something names.
	used     []string
	entities []kong.Entity
	left     []Left
}

// kicGroups are the API groups whose objects say something about Kong. Deployments and the like are none of ours, and
// are passed over.
var kicGroups = []string{"configuration.konghq.com", "gateway.networking.k8s.io", "networking.k8s.io", "extensions"}

// kicKinds are those that are read.
var kicKinds = []string{"KongConsumer", "KongPlugin", "KongClusterPlugin", "Secret", "Service", "Ingress"}

// object takes one up.
func (r *kicReader) object(fields kong.Fields) {
	kind := fields.Text("kind")
	metadata := kong.Fields(fields.Object("metadata"))
	o := kicObject{kind: kind, name: metadata.Text("name"), fields: fields}
	group, _, _ := strings.Cut(fields.Text("apiVersion"), "/")
	switch namespace := metadata.Text("namespace"); {
	case !slices.Contains(kicKinds, kind):
		if slices.Contains(kicGroups, group) {
			r.leave(o, "this kind is not read")
		}
	case kind != "KongClusterPlugin" && namespace != "" && namespace != r.namespace:
		if kind != "Secret" && kind != "Service" {
			r.leave(o, "it is in namespace %s: import that one by itself, with -n %s", namespace, namespace)
		}
	default:
		r.objects[o.String()] = o
	}
}

// ordered are the objects by kind and name, so that the same folder gives the same resources.
func (r *kicReader) ordered() []kicObject {
	all := make([]kicObject, 0, len(r.objects))
	for _, o := range r.objects {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b kicObject) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

func (r *kicReader) leave(o kicObject, why string, args ...any) {
	r.left = append(r.left, Left{What: o.String(), Why: fmt.Sprintf(why, args...)})
}

func (r *kicReader) add(e kong.Entity) string {
	e.ID = uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "%s/%d", e.Kind, len(r.entities))).String()
	r.entities = append(r.entities, e)
	return e.ID
}

// unused tells of plugins that nothing in the folder names.
func (r *kicReader) unused() {
	for _, o := range r.ordered() {
		if (o.kind == "KongPlugin" || o.kind == "KongClusterPlugin") && !slices.Contains(r.used, o.String()) {
			why := "no consumer, Ingress or Service of the folder names it"
			if o.metadata("labels")["global"] == "true" {
				why = "it is global: no resource configures plugins for everything"
			}
			r.leave(o, "%s", why)
		}
	}
}

// secret gives a Secret's data, decoded.
func (r *kicReader) secret(name string) (o kicObject, data map[string]string, found bool) {
	if o, found = r.objects["Secret "+name]; !found {
		return o, nil, false
	}
	r.used = append(r.used, o.String())
	data = map[string]string{}
	for key, value := range o.fields.Object("data") {
		text, _ := value.(string)
		if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
			data[key] = string(plain)
		}
	}
	for key, value := range o.fields.Object("stringData") {
		data[key], _ = value.(string)
	}
	return o, data, true
}

// plugins gives those that an object's annotation names, as Kong's entities without what they are on.
func (r *kicReader) plugins(on kicObject) []kong.Entity {
	var all []kong.Entity
	for _, name := range words(on.annotation("plugins")) {
		o, found := r.objects["KongPlugin "+name]
		if !found {
			o, found = r.objects["KongClusterPlugin "+name]
		}
		if !found {
			r.leave(on, "its plugin %s is not in the folder", name)
			continue
		}
		r.used = append(r.used, o.String())
		fields := kong.Fields{"name": o.fields.Text("plugin")}
		for _, field := range []string{"config", "protocols", "ordering", "instance_name"} {
			if value, set := o.fields[field]; set {
				fields[field] = value
			}
		}
		if o.fields["disabled"] == true {
			fields["enabled"] = false
		}
		if !r.configFrom(o, fields) {
			continue
		}
		all = append(all, kong.Entity{Kind: kong.KindPlugin, Fields: fields})
	}
	return all
}

// configFrom fills in the configuration that a plugin takes from a Secret; false where it is not known.
func (r *kicReader) configFrom(o kicObject, fields kong.Fields) bool {
	if _, set := o.fields["configPatches"]; set {
		r.leave(o, "its configPatches are not read: write what they say into config, or into a Secret for configFrom")
		return false
	}
	source := kong.Fields(o.fields.Object("configFrom"))
	if len(source) == 0 {
		return true
	}
	ref := kong.Fields(source.Object("secretKeyRef"))
	if len(ref) == 0 {
		ref = source.Object("secretKeyReference") // of a KongClusterPlugin
	}
	_, data, found := r.secret(ref.Text("name"))
	var config map[string]any
	if !found || yaml.Unmarshal([]byte(data[ref.Text("key")]), &config) != nil || config == nil {
		r.leave(o, "its configuration is in Secret %s, which is not in the folder, or has no object under %s", ref.Text("name"), ref.Text("key"))
		return false
	}
	fields["config"] = config
	return true
}

// consumer adds a KongConsumer with what its credentials are.
func (r *kicReader) consumer(o kicObject) {
	fields := kong.Fields{"tags": o.tags(), kongConsumerField: o.name}
	for _, field := range []string{"username", "custom_id"} {
		if text := o.fields.Text(field); text != "" {
			fields[field] = text
		}
	}
	id := r.add(kong.Entity{Kind: kong.KindConsumer, Fields: fields})
	if groups := o.fields.Strings("consumerGroups"); len(groups) > 0 {
		r.leave(o, "its consumer groups (%s): a JwtConsumer has the groups of acl alone", strings.Join(groups, ", "))
	}
	for _, name := range o.fields.Strings("credentials") {
		r.credential(o, id, name)
	}
	for _, plugin := range r.plugins(o) {
		plugin.Fields["consumer"], plugin.Fields["tags"] = map[string]any{"id": id}, o.tags()
		r.add(plugin)
	}
}

func (r *kicReader) credential(o kicObject, consumer, name string) {
	secret, data, found := r.secret(name)
	if !found {
		r.leave(o, "its Secret %s is not in the folder", name)
		return
	}
	kind, _ := secret.metadata("labels")[kicCredential].(string)
	if kind == "" {
		kind = data[kicCredentialType]
	}
	fields, entity := kong.Fields{"tags": o.tags()}, kong.KindJWT
	switch kind {
	case "jwt":
		for _, field := range []string{"key", "algorithm", "secret", "rsa_public_key"} {
			if data[field] != "" {
				fields[field] = data[field]
			}
		}
		if data["key"] == "" {
			r.leave(o, "its Secret %s has no key: Kong made one up, which only Kong knows", name)
			return
		}
	case "acl":
		entity = kong.KindACL
		fields["group"] = data["group"]
	default:
		r.leave(o, "its Secret %s holds a credential of type %q: a JwtConsumer has JWT credentials alone", name, kind)
		return
	}
	r.add(kong.Entity{Kind: entity, ConsumerID: consumer, Fields: fields})
}
