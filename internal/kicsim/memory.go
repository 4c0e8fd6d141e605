package kicsim

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Memory is a store without an API server, with as much of server-side apply as recordings need.
type Memory struct {
	// Wrote and Emitted are told of what a controller writes.
	Wrote   func(on Reference, generation int64, status map[string]any)
	Emitted func(Event)

	mu      sync.Mutex
	version int
	objects map[Reference]*stored
}

// stored is an object, and what each field manager applied of it.
type stored struct {
	object   Object
	managers []string
	applied  map[string]map[string]any
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		Wrote: func(Reference, int64, map[string]any) {}, Emitted: func(Event) {}, objects: map[Reference]*stored{},
	}
}

// List implements Store.
func (m *Memory) List(context.Context) ([]Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Object
	for _, one := range m.objects {
		all = append(all, *one.object.DeepCopy())
	}
	return all, nil
}

// Get gives an object.
func (m *Memory) Get(name Reference) (Object, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.objects[name]
	if one == nil {
		return Object{}, false
	}
	return *one.object.DeepCopy(), true
}

// WriteStatus implements Store.
func (m *Memory) WriteStatus(_ context.Context, on Reference, status map[string]any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.objects[on]; one != nil {
		one.object.Object["status"] = runtime.DeepCopyJSONValue(status)
		m.Wrote(on, one.object.GetGeneration(), status)
	}
	return nil
}

// Emit implements Store.
func (m *Memory) Emit(_ context.Context, event Event) error {
	m.Emitted(event)
	return nil
}

// Delete deletes an object. One with a finalizer stays, and has a deletionTimestamp.
func (m *Memory) Delete(name Reference) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one := m.objects[name]
	if one != nil && len(one.object.GetFinalizers()) > 0 {
		now := metav1.NewTime(time.Now())
		one.object.SetDeletionTimestamp(&now)
		return
	}
	delete(m.objects, name)
}

// Apply applies an object for a field manager; without a name by force. It gives the generation, or says why not.
func (m *Memory) Apply(object Object, manager string) (generation int64, refused string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if refused = invalid(&object); refused != "" {
		return 0, refused
	}
	name := referenceTo(&object)
	one := m.objects[name]
	if one == nil {
		one = &stored{applied: map[string]map[string]any{}}
	}
	if manager != "" {
		if refused = one.conflict(object.Object, manager); refused != "" {
			return 0, refused
		}
	}
	if one.applied[manager] == nil {
		one.managers = append(one.managers, manager)
	}
	one.applied[manager] = runtime.DeepCopyJSON(object.Object)
	merged := map[string]any{}
	for _, manager := range one.managers {
		merge(merged, one.applied[manager])
	}
	m.store(name, one, Object{Object: merged})
	return m.objects[name].object.GetGeneration(), ""
}

// store replaces an object, with the metadata that the API server gives.
func (m *Memory) store(name Reference, one *stored, now Object) {
	m.version++
	former := one.object
	encodeSecret(&now)
	now.SetResourceVersion(strconv.Itoa(m.version))
	now.SetGeneration(1)
	if former.Object == nil {
		now.SetUID(types.UID(uuid.NewString()))
		if defaults := waiting(name.Kind); defaults != nil {
			now.Object["status"] = defaults
			m.Wrote(name, 1, defaults)
		}
	} else {
		now.SetUID(former.GetUID())
		now.SetGeneration(former.GetGeneration())
		if !reflect.DeepEqual(plain(former), plain(now)) {
			now.SetGeneration(former.GetGeneration() + 1)
		}
		if status := former.Object["status"]; status != nil {
			now.Object["status"] = status
		}
	}
	one.object = now
	m.objects[name] = one
}

// waiting is the status that a kind's schema has as its default.
func waiting(kind string) map[string]any {
	pending := func(name string) map[string]any {
		return map[string]any{"type": name, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}
	}
	switch kind {
	case "KongConsumer":
		return map[string]any{"conditions": []any{pending("Programmed")}}
	case "Gateway":
		return map[string]any{"conditions": []any{pending("Accepted"), pending("Programmed")}}
	}
	return nil
}

// plain is what of an object its generation counts.
func plain(o Object) map[string]any {
	fields := maps.Clone(o.Object)
	delete(fields, "metadata")
	delete(fields, "status")
	return fields
}

func encodeSecret(o *Object) {
	if o.GetKind() != "Secret" {
		return
	}
	data := map[string]any{}
	for name, value := range mapAt(o.Object, "stringData") {
		text, _ := value.(string)
		data[name] = base64.StdEncoding.EncodeToString([]byte(text))
	}
	delete(o.Object, "stringData")
	o.Object["data"] = data
}

func merge(into, from map[string]any) {
	for name, value := range from {
		inner, isRecord := value.(map[string]any)
		if before, both := into[name].(map[string]any); isRecord && both {
			merge(before, inner)
			continue
		}
		into[name] = runtime.DeepCopyJSONValue(value)
	}
}

// conflict says which field another manager has with another value.
func (s *stored) conflict(object map[string]any, manager string) string {
	for _, other := range s.managers {
		for _, path := range leaves(object, nil) {
			want, _, _ := unstructured.NestedFieldNoCopy(object, path...)
			held, found, _ := unstructured.NestedFieldNoCopy(s.applied[other], path...)
			if other != manager && found && !reflect.DeepEqual(want, held) {
				return fmt.Sprintf("Apply failed with 1 conflict: conflict with %q: .%s", other, strings.Join(path, "."))
			}
		}
	}
	return ""
}

func leaves(fields map[string]any, at []string) [][]string {
	var found [][]string
	for name, value := range fields {
		path := append(slices.Clone(at), name)
		if inner, is := value.(map[string]any); is {
			found = append(found, leaves(inner, path)...)
		} else {
			found = append(found, path)
		}
	}
	return found
}

// invalid says what the API server refuses of an object.
func invalid(o *Object) string {
	if o.GetKind() != "EndpointSlice" {
		return ""
	}
	for i, endpoint := range listAt(o.Object, "endpoints") {
		for j, address := range textsAt(endpoint, "addresses") {
			if strings.HasPrefix(address, "127.") || address == "::1" {
				return fmt.Sprintf("EndpointSlice.discovery.k8s.io %q is invalid: endpoints[%d].addresses[%d]: Invalid value: %q: "+
					"may not be in the loopback range (127.0.0.0/8, ::1/128)", o.GetName(), i, j, address)
			}
		}
	}
	return ""
}
