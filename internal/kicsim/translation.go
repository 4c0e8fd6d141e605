package kicsim

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
)

type fields = map[string]any

// translation is what a controller makes of a snapshot.
type translation struct {
	snapshot
	services  map[string]fields
	upstreams map[string]fields
	targets   map[string][]any // of upstreams, host:port
	routes    []fields
	consumers []fields
	plugins   []fields
	// uses are the entities that plugins are put on, by the plugin's object.
	uses map[Reference]*pluginUse
	// failures are what could not be translated, in order.
	failures []Event
	failed   map[Reference]bool
	reason   string
}

// Reasons of events.
const (
	reasonTranslation         = "KongConfigurationTranslationFailed"
	reasonFallbackTranslation = "FallbackKongConfigurationTranslationFailed"
	reasonApply               = "KongConfigurationApplyFailed"
)

// translate is pure: the same objects become the same configuration.
func translate(s snapshot, reason string) *translation {
	t := &translation{
		snapshot: s, services: map[string]fields{}, upstreams: map[string]fields{}, targets: map[string][]any{},
		uses: map[Reference]*pluginUse{}, failed: map[Reference]bool{}, reason: reason,
	}
	for _, ingress := range s.of("Ingress") {
		t.ingress(ingress)
	}
	for _, route := range s.of("HTTPRoute") {
		t.httpRoute(route)
	}
	t.allConsumers()
	t.allPlugins()
	return t
}

// fail notes that an object could not be translated whole.
func (t *translation) fail(on *Object, message string) { t.failAt(referenceTo(on), message) }

func (t *translation) failAt(on Reference, message string) {
	t.failed[on] = true
	event := Event{On: on, Reason: t.reason, Message: message}
	if !slices.Contains(t.failures, event) {
		t.failures = append(t.failures, event)
	}
}

// idSpace is the namespace of the ids that the controller makes out of names.
var idSpace = uuid.MustParse("fd02801f-0957-4a15-a55a-c8d9606f30b5")

func idOf(collection, name string) string {
	return uuid.NewSHA1(uuid.NewSHA1(idSpace, []byte(collection)), []byte(name)).String()
}

// sum is what the controller tells two configurations apart by: the order of entities does not count.
func (t *translation) sum() string {
	config := t.configuration()
	for name, list := range config {
		if entities, is := list.([]any); is {
			sorted := make([]string, 0, len(entities))
			for _, entity := range entities {
				one, _ := entity.(fields)
				sorted = append(sorted, encode(one))
			}
			slices.Sort(sorted)
			config[name] = sorted
		}
	}
	return encode(config)
}

// configuration is the body of POST /config, services with the addresses of their targets.
func (t *translation) configuration() fields {
	config := fields{"_format_version": "3.0"}
	put := func(name string, list []any) {
		if len(list) > 0 {
			config[name] = list
		}
	}
	var services []any
	for _, name := range slices.Sorted(maps.Keys(t.services)) {
		service := maps.Clone(t.services[name])
		t.locate(service)
		services = append(services, service)
	}
	put("services", services)
	put("routes", anys(t.routes))
	put("consumers", anys(t.consumers))
	put("plugins", anys(t.plugins))
	return config
}

// nowhere is an address at which nobody answers: that of an upstream without targets.
const nowhere = "nowhere.invalid"

// locate replaces the name of an upstream by the address of its first target: the simulated Kong has no upstreams.
func (t *translation) locate(service fields) {
	upstream, _ := service["host"].(string)
	host, port := nowhere, 80
	if targets := t.targets[upstream]; len(targets) > 0 {
		text, _ := targets[0].(string)
		at := strings.LastIndex(text, ":")
		host = text[:at]
		port, _ = number(text[at+1:])
		host, port = t.options.Locate(host, port)
	}
	service["host"], service["port"] = host, port
}

func anys(list []fields) []any {
	all := make([]any, 0, len(list))
	for _, one := range list {
		all = append(all, one)
	}
	return all
}

// reference is how one entity names another.
func reference(id string) fields { return fields{"id": id} }
