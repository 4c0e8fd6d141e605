package kicsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

// theObjects are what a controller makes a protected route, two consumers and their credentials of, in a namespace.
func theObjects(namespace string) []unstructured.Unstructured {
	object := func(version, kind, name string, annotations, labels map[string]string, fields map[string]any) Object {
		o := unstructured.Unstructured{Object: fields}
		o.SetAPIVersion(version)
		o.SetKind(kind)
		o.SetName(name)
		if kind != "KongClusterPlugin" {
			o.SetNamespace(namespace)
		}
		o.SetAnnotations(annotations)
		o.SetLabels(labels)
		return o
	}
	class := map[string]string{annotationClass: "kong"}
	secret := func(name, kind string, data map[string]any) Object {
		return object("v1", "Secret", name, nil, map[string]string{labelCredential: kind}, map[string]any{"stringData": data})
	}
	consumer := func(name string, credentials ...any) Object {
		return object(Group+"/v1", "KongConsumer", name, class, nil, map[string]any{
			"username": namespace + "." + name, "credentials": credentials,
		})
	}
	return []Object{
		secret("a-key", "jwt", map[string]any{"algorithm": "HS256", "key": namespace + ".a", "secret": "s"}),
		secret("b-key", "jwt", map[string]any{"algorithm": "HS256", "key": namespace + ".b", "secret": "s"}),
		secret("group", "acl", map[string]any{"group": "staff"}),
		consumer("a", "a-key", "group"), consumer("b", "b-key", "group"),
		object(Group+"/v1", "KongPlugin", "jwt", nil, nil, map[string]any{"plugin": "jwt"}),
		object(Group+"/v1", "KongClusterPlugin", namespace+"-acl", class, nil, map[string]any{
			"plugin": "acl", "config": map[string]any{"allow": []any{"staff"}},
		}),
		object("v1", "Service", "echo", map[string]string{annotationPlugins: namespace + "-acl"}, nil, map[string]any{
			"spec": map[string]any{"type": "ExternalName", "externalName": "localhost",
				"ports": []any{map[string]any{"name": "http", "port": int64(80)}}},
		}),
		object("networking.k8s.io/v1", "Ingress", "route", map[string]string{annotationPlugins: "jwt"}, nil, map[string]any{
			"spec": map[string]any{"ingressClassName": "kong", "rules": []any{map[string]any{
				"host": namespace + ".example", "http": map[string]any{"paths": []any{map[string]any{
					"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{
						"name": "echo", "port": map[string]any{"number": int64(80)},
					}},
				}}},
			}}},
		}),
	}
}

// made is what a controller makes of objects that were written in an order.
func made(objects []Object) *translation {
	for i := range objects {
		objects[i].SetResourceVersion(fmt.Sprint(i + 1))
	}
	return translate(newSnapshot(objects, Options{}.withDefaults()), reasonTranslation)
}

func TestTheOrderInWhichObjectsWereWrittenChangesNothing(t *testing.T) {
	all := slices.Concat(theObjects("one"), theObjects("two"))
	want := made(slices.Clone(all))
	if len(want.failures) > 0 || len(want.routes) != 2 || len(want.consumers) != 4 || len(want.plugins) != 4 {
		t.Fatalf("%v, %d routes, %d consumers, %d plugins", want.failures, len(want.routes), len(want.consumers), len(want.plugins))
	}
	rapid.Check(t, func(t *rapid.T) {
		if got := made(rapid.Permutation(all).Draw(t, "order")); got.sum() != want.sum() {
			t.Errorf("%s\n%s", got.sum(), want.sum())
		}
	})
}

func TestOneNamespacesObjectsAreNothingToAnothers(t *testing.T) {
	both := made(slices.Concat(theObjects("one"), theObjects("two")))
	for _, alone := range []string{"one", "two"} {
		for _, consumer := range made(theObjects(alone)).consumers {
			if !slices.ContainsFunc(both.consumers, func(other fields) bool { return encode(other) == encode(consumer) }) {
				t.Errorf("%s is another beside others", encode(consumer))
			}
		}
	}
}

func TestAKeyThatSeveralHaveDropsEachOfThem(t *testing.T) {
	all := slices.Concat(theObjects("one"), theObjects("two"), theObjects("three"))
	for i := range all {
		if all[i].GetName() == "a-key" && all[i].GetNamespace() != "three" {
			all[i].Object["stringData"].(map[string]any)["key"] = "the same"
		}
	}
	got := made(all)
	var names []string
	for _, consumer := range got.consumers {
		name, _ := consumer["username"].(string)
		names = append(names, name)
	}
	slices.Sort(names)
	if text := strings.Join(names, " "); text != "one.b three.a three.b two.b" {
		t.Error(text)
	}
}
