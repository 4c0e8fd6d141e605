package kicsim

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// snapshot is what a controller sees at one moment: the objects of its class that are not being deleted.
type snapshot struct {
	options Options
	objects map[Reference]*Object
}

func newSnapshot(objects []Object, o Options) snapshot {
	s := snapshot{options: o, objects: map[Reference]*Object{}}
	for i := range objects {
		if object := &objects[i]; s.sees(object) {
			s.objects[referenceTo(object)] = object
		}
	}
	return s
}

// sees says whether an object exists for the controller. A finalizer keeps none.
func (s snapshot) sees(o *Object) bool {
	if o.GetDeletionTimestamp() != nil {
		return false
	}
	class := o.GetAnnotations()[annotationClass]
	switch o.GetKind() {
	case "KongConsumer", "KongClusterPlugin":
		return class == s.options.Class
	case "Ingress":
		if class == "" {
			class = textAt(o.Object, "spec", "ingressClassName")
		}
		return class == s.options.Class
	case "Gateway":
		return textAt(o.Object, "spec", "gatewayClassName") == s.options.Class
	case "Secret":
		return s.options.SecretLabel == "" || o.GetLabels()[s.options.SecretLabel] == "true"
	}
	return true
}

// of gives the objects of a kind, those that were written last at the end.
func (s snapshot) of(kind string) []*Object {
	var found []*Object
	for _, object := range s.objects {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	slices.SortFunc(found, func(a, b *Object) int {
		return cmp.Or(cmp.Compare(version(a), version(b)), cmp.Compare(a.GetNamespace()+"/"+a.GetName(),
			b.GetNamespace()+"/"+b.GetName()))
	})
	return found
}

func version(o *Object) int {
	number, err := strconv.Atoi(o.GetResourceVersion())
	if err != nil {
		return 0
	}
	return number
}

func (s snapshot) get(kind, namespace, name string) *Object {
	return s.objects[Reference{kind, namespace, name}]
}

// plugin finds what an annotation names: a KongPlugin of the namespace hides a KongClusterPlugin.
func (s snapshot) plugin(namespace, name string) *Object {
	if found := s.get("KongPlugin", namespace, name); found != nil {
		return found
	}
	return s.get("KongClusterPlugin", "", name)
}

// without leaves objects out; others stand in for them.
func (s snapshot) without(broken map[Reference]bool, instead map[Reference]*Object) snapshot {
	rest := snapshot{options: s.options, objects: maps.Clone(s.objects)}
	for name := range broken {
		delete(rest.objects, name)
		if former := instead[name]; former != nil {
			rest.objects[name] = former
		}
	}
	return rest
}

// textAt reads a text, or nothing.
func textAt(fields map[string]any, path ...string) string {
	text, _, _ := unstructured.NestedString(fields, path...)
	return text
}

// listAt reads a list of records.
func listAt(fields map[string]any, path ...string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(fields, path...)
	var records []map[string]any
	for _, element := range list {
		if record, ok := element.(map[string]any); ok {
			records = append(records, record)
		}
	}
	return records
}

// textsAt reads a list of texts.
func textsAt(fields map[string]any, path ...string) []string {
	list, _, _ := unstructured.NestedStringSlice(fields, path...)
	return list
}

// mapAt reads a record.
func mapAt(fields map[string]any, path ...string) map[string]any {
	record, _, _ := unstructured.NestedMap(fields, path...)
	return record
}

// number reads a number, in whatever form JSON or YAML gave it.
func number(value any) (int, bool) {
	switch n := value.(type) {
	case int64:
		return int(n), true
	case int:
		return n, true
	case float64:
		return int(n), true
	case string:
		i, err := strconv.Atoi(n)
		return i, err == nil
	}
	return 0, false
}

// secretData gives a Secret's data as the API server keeps it, decoded.
func secretData(o *Object) map[string]string {
	data := map[string]string{}
	for name, value := range mapAt(o.Object, "data") {
		text, _ := value.(string)
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
			data[name] = string(raw)
		}
	}
	for name, value := range mapAt(o.Object, "stringData") {
		data[name], _ = value.(string)
	}
	return data
}
