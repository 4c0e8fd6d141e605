package kicsim

import (
	"fmt"
	"maps"
	"strings"

	"sigs.k8s.io/yaml"
)

// labelGlobal makes a KongClusterPlugin one for all requests.
const labelGlobal = "global"

// allPlugins translates the plugins that anything names, and the global ones.
func (t *translation) allPlugins() {
	for _, kind := range []string{"KongPlugin", "KongClusterPlugin"} {
		for _, o := range t.of(kind) {
			at := t.uses[referenceTo(o)]
			global := kind == "KongClusterPlugin" && o.GetLabels()[labelGlobal] == "true"
			if at == nil && !global {
				continue
			}
			plugin, wrong := t.newPlugin(o)
			if wrong != "" {
				t.fail(o, wrong)
				continue
			}
			carriers := []fields{{}}
			if !global {
				carriers = t.on(at)
			}
			for _, references := range carriers {
				one := maps.Clone(plugin)
				maps.Copy(one, references)
				one["id"] = idOf("plugins", encode(references)+textAt(one, "name"))
				t.plugins = append(t.plugins, one)
			}
		}
	}
}

// newPlugin makes a plugin of its object, its configuration from Secrets among it.
func (t *translation) newPlugin(o *Object) (plugin fields, wrong string) {
	config := mapAt(o.Object, "config")
	if config == nil {
		config = fields{}
	}
	if ref := mapAt(o.Object, "configFrom", "secretKeyRef"); ref != nil {
		text, found := t.secretText(o, ref)
		if !found {
			namespace := secretNamespace(o, ref)
			return nil, fmt.Sprintf("error parsing config for %s '%s/%s': "+
				"error fetching plugin configuration secret '%s/%s': Secret %s/%s not found",
				o.GetKind(), o.GetName(), o.GetNamespace(), namespace, textAt(ref, "name"), namespace, textAt(ref, "name"))
		}
		config = nil
		if yaml.Unmarshal([]byte(text), &config) != nil {
			return nil, unparsable(o)
		}
	}
	for _, patch := range listAt(o.Object, "configPatches") {
		text, found := t.secretText(o, mapAt(patch, "valueFrom", "secretKeyRef"))
		var value any
		if !found || !validJSON(text, &value) {
			return nil, unparsable(o)
		}
		put(config, strings.Split(strings.TrimPrefix(textAt(patch, "path"), "/"), "/"), value)
	}
	disabled, _ := o.Object["disabled"].(bool)
	plugin = fields{"name": textAt(o.Object, "plugin"), "config": config, "enabled": !disabled, "tags": tagsOf(o)}
	if protocols := textsAt(o.Object, "protocols"); len(protocols) > 0 {
		plugin["protocols"] = texts(protocols)
	}
	return plugin, ""
}

func unparsable(o *Object) string {
	return fmt.Sprintf("could not parse %s %s/%s config: invalid state detected", o.GetKind(), o.GetNamespace(),
		o.GetName())
}

// secretNamespace is where a plugin's Secret is: a KongClusterPlugin says it.
func secretNamespace(o *Object, ref fields) string {
	if namespace := textAt(ref, "namespace"); namespace != "" {
		return namespace
	}
	return o.GetNamespace()
}

func (t *translation) secretText(o *Object, ref fields) (string, bool) {
	secret := t.get("Secret", secretNamespace(o, ref), textAt(ref, "name"))
	if secret == nil {
		return "", false
	}
	text, found := secretData(secret)[textAt(ref, "key")]
	return text, found
}

// put sets a value at a path, making the records on the way.
func put(config fields, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inner, is := config[name].(fields)
		if !is {
			inner = fields{}
			config[name] = inner
		}
		config = inner
	}
	config[path[len(path)-1]] = value
}
