package objects

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

var settings = Settings{
	Scope: desired.Scope{Installation: "i",
		Gateway: "g"}, Class: "kong", Namespace: "system", Key: []byte("0123456789abcdef"),
}

func entity(kind kong.Kind, owner desired.Owner, part string, fields kong.Fields) kong.Entity {
	fields["tags"] = settings.Scope.Tags(owner, part)
	return kong.Entity{Kind: kind, ID: settings.Scope.ID(kind, owner, part), Fields: fields}
}

func consumerSet(secrets ...string) desired.Set {
	owner := desired.ConsumerOwner("team", "app")
	set := desired.Set{Owner: owner, Entities: []kong.Entity{
		entity(kong.KindConsumer, owner, "consumer", kong.Fields{"username": "team.app"}),
		entity(kong.KindACL, owner, "group:a", kong.Fields{"group": "a"}),
	}}
	for i, secret := range secrets {
		part := "credential:primary." + string(rune('1'+i))
		set.Entities = append(set.Entities, entity(kong.KindJWT, owner, part, kong.Fields{
			"algorithm": "HS256", "key": "key-" + secret, "secret": secret, "rsa_public_key": "none of an HMAC credential",
		}))
	}
	return set
}

func serviceSet(change ...func(kong.Fields)) desired.Set {
	owner := desired.ServiceOwner("team", "api")
	service := entity(kong.KindService, owner, "service", kong.Fields{
		"name": "team.api", "protocol": "https", "host": "api.example.com", "port": 8443, "path": "/base", "retries": 2,
	})
	route := kong.Fields{
		"name": "team.api.main", "service": map[string]any{"id": service.ID}, "hosts": []string{"a.example", "b.example"},
		"paths": []string{"/v1", "~/v2/\\d+"}, "methods": []string{"GET"}, "strip_path": false,
		"headers": map[string]any{"X-Version": []string{"1", "2"}},
	}
	for _, alter := range change {
		alter(route)
	}
	on := map[string]any{"id": service.ID}
	return desired.Set{Owner: owner, Entities: []kong.Entity{
		service,
		entity(kong.KindRoute, owner, "route:main", route),
		entity(kong.KindPlugin, owner, "jwt", kong.Fields{"name": "jwt", "service": on,
			"config": map[string]any{"key_claim_name": "kid"}}),
		entity(kong.KindPlugin, owner, "plugin:log", kong.Fields{
			"name": "http-log", "service": on, "config": map[string]any{"headers": map[string]any{"Authorization": "canary-secret"}},
		}),
	}}
}

func of(t rapid.TB, set desired.Set, kept ...Object) []Object {
	t.Helper()
	all, err := settings.Of(set, kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// one gives the only object of a kind, whose metadata has the annotations.
func one(t *testing.T, all []Object, kind string) (content map[string]any, annotations map[string]any) {
	t.Helper()
	i := slices.IndexFunc(all, func(o Object) bool { return o.Kind == kind })
	if i < 0 {
		t.Fatalf("no %s among %v", kind, all)
	}
	metadata, _ := all[i].Content["metadata"].(map[string]any)
	annotations, _ = metadata["annotations"].(map[string]any)
	return all[i].Content, annotations
}

func TestConsumerNamesItsSecrets(t *testing.T) {
	all := of(t, consumerSet("one", "two"))
	var names []any
	for _, o := range all {
		if o.Kind == "Secret" {
			names = append(names, o.Name)
			data, _ := o.Content["stringData"].(map[string]any)
			if o.Content["immutable"] != true || data["rsa_public_key"] != nil {
				t.Errorf("%s: %v", o.Name, o.Content)
			}
		}
	}
	consumer, annotations := one(t, all, KindConsumer)
	listed, _ := consumer["credentials"].([]any)
	if len(names) != 3 || len(listed) != 3 || annotations[AnnotationClass] != "kong" ||
		consumer["username"] != "team.app" {
		t.Errorf("Secrets %v, consumer %v", names, consumer)
	}
	for _, name := range names {
		if !slices.Contains(listed, name) {
			t.Errorf("%v does not list %v", listed, name)
		}
	}
}

func TestOtherMaterialIsAnotherSecret(t *testing.T) {
	owner := consumerSet().Owner
	name := func(secret string) string { return settings.CredentialName(owner, consumerSet(secret).Entities[2]) }
	if first, same, other := name("one"), name("one"), name("two"); first != same || first == other {
		t.Errorf("%s and %s of one, %s of another", first, same, other)
	}
}

func TestKeptCredentialStaysNamed(t *testing.T) {
	kept := of(t, consumerSet("old"))[1]
	all := of(t, consumerSet(), kept)
	consumer, _ := one(t, all, KindConsumer)
	if listed, _ := consumer["credentials"].([]any); !slices.Contains(listed, any(kept.Name)) {
		t.Errorf("%v does not list %s", listed, kept.Name)
	}
}

func TestServiceRouteAndPlugins(t *testing.T) {
	all := of(t, serviceSet())
	service, annotations := one(t, all, "Service")
	spec, _ := service["spec"].(map[string]any)
	if spec["type"] != "ExternalName" || spec["externalName"] != "api.example.com" {
		t.Errorf("%v", spec)
	}
	plugins, _ := annotations["konghq.com/plugins"].(string)
	if names := strings.Split(plugins, ","); len(names) != 2 {
		t.Errorf("the Service names %v", names)
	}
	for name, want := range map[string]string{"protocol": "https", "path": "/base", "retries": "2"} {
		if annotations["konghq.com/"+name] != want {
			t.Errorf("%s is %v", name, annotations["konghq.com/"+name])
		}
	}
	route, annotations := one(t, all, "Ingress")
	raw, _ := json.Marshal(route["spec"]) //nolint:errchkjson // it is made of JSON values
	for _, text := range []string{`"host":"a.example"`, `"path":"/v1"`, `"path":"/~/v2/\\d+"`, `"number":8443`,
		`"ingressClassName":"kong"`} {
		if !strings.Contains(string(raw), text) {
			t.Errorf("no %s in %s", text, raw)
		}
	}
	for name, want := range map[string]string{
		"host-aliases": "b.example", "methods": "GET", "headers.x-version": "1,2", "strip-path": "false",
	} {
		if annotations["konghq.com/"+name] != want {
			t.Errorf("%s is %v", name, annotations["konghq.com/"+name])
		}
	}
}

func TestSecretsAreInSecretsOnly(t *testing.T) {
	for _, o := range append(of(t, serviceSet()), of(t, consumerSet("canary-secret"))...) {
		raw, _ := json.Marshal(o.Content) //nolint:errchkjson // it is made of JSON values
		if strings.Contains(string(raw), "canary-secret") != (o.Kind == "Secret" && strings.Contains(string(raw),
			"stringData")) &&
			o.Kind != "Secret" {
			t.Errorf("%s holds a secret", o.Reference)
		}
		if o.Kind == "Secret" && o.Owner.Kind == "JwtProtectedService" && o.Namespace != "system" {
			t.Errorf("the configuration of a plugin is in %s, where its tenant can delete it", o.Namespace)
		}
	}
}

func TestGuardedRouteIsReachedByNobody(t *testing.T) {
	all := of(t, serviceSet())
	i := slices.IndexFunc(all, func(o Object) bool { return o.Entity == kong.KindRoute })
	guarded := settings.Guard(all[i])
	metadata, _ := guarded.Content["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, annotationUnique)   // it keeps others from the hosts
	raw, _ := json.Marshal(guarded.Content) //nolint:errchkjson // it is made of JSON values
	for _, host := range []string{"a.example", "b.example", "headers.x-version"} {
		if strings.Contains(string(raw), host) {
			t.Errorf("the guarded route has %s", host)
		}
	}
	if !strings.Contains(string(raw), ".kongjwt-guard.invalid") || !strings.Contains(string(raw),
		"headers.x-kongjwt-guard") {
		t.Errorf("%s is not guarded", raw)
	}
	if guarded.Sum == all[i].Sum || guarded.Reference != all[i].Reference {
		t.Error("the guarded route is no other form of the same object")
	}
}

func TestWhatAnObjectCannotSayIsRefused(t *testing.T) {
	for name, alter := range map[string]func(kong.Fields){
		"spec.routes: hosts":   func(f kong.Fields) { f["hosts"] = []string{"example.*"} },
		"spec.routes: headers": func(f kong.Fields) { f["headers"] = map[string]any{"x": []string{"a,b"}} },
	} {
		if _, err := settings.Of(serviceSet(alter), nil, nil); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestObjectsOfTheSameWishAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{8,20}`), 0, 5, rapid.ID[string]).Draw(t, "secrets")
		first, set := of(t, consumerSet(secrets...)), consumerSet(secrets...)
		slices.Reverse(set.Entities)
		sums := func(all []Object) (sums []string) {
			for _, o := range all {
				sums = append(sums, o.String()+" "+o.Sum)
			}
			slices.Sort(sums)
			return sums
		}
		if !slices.Equal(sums(first), sums(of(t, set))) {
			t.Fatal("another order of entities makes other objects")
		}
	})
}

func TestAnObjectIsReadAsItWasWritten(t *testing.T) {
	for _, o := range append(of(t, serviceSet()), of(t, consumerSet("one"))...) {
		metadata, _ := o.Content["metadata"].(map[string]any)
		labels, annotations := texts(metadata["labels"]), texts(metadata["annotations"])
		got, ok := settings.Read(o.Reference, labels, annotations)
		if got.Content = o.Content; !ok || got.Owner != o.Owner || got.ID != o.ID || got.Sum != o.Sum ||
			got.Entity != o.Entity || !slices.Equal(got.Unique, o.Unique) {
			t.Errorf("%s: %+v", o.Reference, got)
		}
		if o.Namespace == "" || o.Namespace == "system" {
			continue
		}
		elsewhere := o.Reference
		elsewhere.Namespace = "another"
		if _, ok := settings.Read(elsewhere, labels, annotations); ok {
			t.Errorf("an object of another namespace speaks for %s", o.Owner)
		}
	}
}

func texts(value any) map[string]string {
	all := map[string]string{}
	fields, _ := value.(map[string]any)
	for name, text := range fields {
		all[name], _ = text.(string)
	}
	return all
}

func TestARouteLeadsToItsOwnService(t *testing.T) {
	route := desired.NewProbeRoute(settings.Scope, []byte("seed"))
	named := map[string]bool{}
	for _, o := range of(t, desired.BuildProbe(settings.Scope, route, true)) {
		if o.Kind == "Service" {
			named[o.Name] = true
		}
	}
	led := map[string]bool{}
	for _, o := range of(t, desired.BuildProbe(settings.Scope, route, true)) {
		raw, _ := json.Marshal(o.Content) //nolint:errchkjson // it is made of JSON values
		for name := range named {
			if o.Entity == kong.KindRoute && strings.Contains(string(raw), name) {
				led[name] = true
			}
		}
	}
	if len(named) != 2 || len(led) != 2 {
		t.Errorf("routes lead to %v of %v", led, named)
	}
}

func TestNoTenantCanWriteWhatAConsumersAccessRestsOn(t *testing.T) {
	for _, o := range of(t, consumerSet("one")) {
		if o.Namespace != "system" {
			t.Errorf("%s is not in the operator's namespace", o.Reference)
		}
	}
	beside, err := settings.Beside(consumerSet("one"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range beside {
		if o.Namespace != "team" {
			t.Errorf("%s cannot take the place of one beside its owner", o.Reference)
		}
	}
	for _, o := range takenOver(t) {
		if o.Namespace != "team" || !strings.HasPrefix(o.Name, "taken-") {
			t.Errorf("%s was not taken over", o.Reference)
		}
	}
}

// described gives an object's labels and annotations.
func described(o Object) (labels, annotations map[string]string) {
	metadata, _ := o.Content["metadata"].(map[string]any)
	return texts(metadata["labels"]), texts(metadata["annotations"])
}

func TestAnObjectThatSomebodyElseDescribedIsNotBelieved(t *testing.T) {
	for _, o := range append(of(t, serviceSet()), takenOver(t)...) {
		labels, annotations := described(o)
		if read, ok := settings.Read(o.Reference, labels, annotations); !ok || read.ID != o.ID || read.Sum != o.Sum {
			t.Errorf("%s: %v, %v", o.Reference, read, ok)
		}
		other := o.Reference
		other.Name += "-copy"
		if o.Namespace != "team" {
			continue
		}
		if read, ok := settings.Read(other, labels, annotations); ok && (o.Kind == kindService || o.Kind == kindIngress) {
			t.Errorf("%s: a copy is believed: %+v", o.Reference, read)
		}
		for _, name := range []string{annotationOwner, annotationID, annotationUnique, annotationGuarded, annotationSeal} {
			_, forged := described(o)
			forged[name] += "x"
			read, ok := settings.Read(o.Reference, labels, forged)
			if ok && (len(read.Unique) > 0 || read.Guarded || read.Sum != UnknownSum || read.ID != "" && read.ID != o.ID ||
				read.StandsFor != "" && o.Kind != KindConsumer) {
				t.Errorf("%s: believed with another %s: %+v", o.Reference, name, read)
			}
		}
	}
}

// takenOver are the objects of a consumer that was taken over, in its namespace.
func takenOver(t *testing.T) []Object {
	t.Helper()
	beside, err := settings.Beside(consumerSet("one"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[Reference]string{}
	for _, o := range beside {
		names[o.Reference] = "taken-" + o.Name
	}
	all, err := settings.Of(consumerSet("one"), nil, names)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWithAnotherKeyTheObjectsAreTheirOwnersStill(t *testing.T) {
	later := settings
	later.Key = []byte("another")
	for _, o := range slices.Concat(of(t, consumerSet("one")), of(t, serviceSet()), takenOver(t)) {
		labels, annotations := described(o)
		read, ok := later.Read(o.Reference, labels, annotations)
		if !ok || read.Owner != o.Owner || read.Entity != o.Entity || read.Rank() != o.Rank() || read.Sum != UnknownSum {
			t.Errorf("%s: %v, %+v", o.Reference, ok, read)
		}
		if o.Kind != kindSecret && (read.ID != o.ID || read.StandsFor != o.StandsFor) {
			t.Errorf("%s is another entity: %+v", o.Reference, read)
		}
	}
	if owner := consumerSet().Owner; later.AttachManager(owner) != settings.AttachManager(owner) {
		t.Error("its attachments are another field manager's")
	}
	now, err := later.Of(consumerSet("one"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range of(t, consumerSet("one")) {
		if same := now[i].Reference == o.Reference; same == (o.Kind == kindSecret) {
			t.Errorf("%s is %s", o.Reference, now[i].Reference)
		}
	}
}
