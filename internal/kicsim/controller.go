package kicsim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Controller looks at a store and pushes. Tick is one look; Run looks again and again.
type Controller struct {
	options Options
	store   Store

	mu sync.Mutex
	// pushed is the sum of what the nodes were given last, accepted that of what they took without a fallback.
	pushed, accepted string
	current          *translation
	lastValid        map[Reference]*Object
	// told are the last statuses written, so that each is written once; acknowledged the last generations seen.
	told         map[types.UID]string
	acknowledged map[types.UID]int64
}

// New makes a controller that has pushed nothing.
func New(store Store, o Options) *Controller {
	return &Controller{
		options: o.withDefaults(), store: store, lastValid: map[Reference]*Object{},
		told: map[types.UID]string{}, acknowledged: map[types.UID]int64{},
	}
}

// Run looks every period until ctx ends; SyncPeriod is the real one.
func (c *Controller) Run(ctx context.Context, period time.Duration, failed func(error)) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.Tick(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// Tick looks once: what changed is pushed, and what came of it is written to the objects.
func (c *Controller) Tick(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	objects, err := c.store.List(ctx)
	if err != nil {
		return err
	}
	seen := newSnapshot(objects, c.options)
	made := translate(seen, reasonTranslation)
	if err := c.emit(ctx, made.failures); err != nil {
		return err
	}
	sum := made.sum()
	if sum == c.accepted && sum == c.pushed {
		return nil // nothing is pushed, and nothing is reported
	}
	problems, err := c.push(ctx, encode(made.configuration()))
	if err != nil {
		return err
	}
	if len(problems) == 0 {
		c.accepted = sum
		c.lastValid = seen.objects
		return c.took(ctx, made, sum)
	}
	c.accepted = ""
	broken, err := c.blame(ctx, seen, problems)
	if err != nil || !c.options.Fallback {
		return err
	}
	return c.fallBack(ctx, seen, broken)
}

// took notes what the nodes run now, and reports it.
func (c *Controller) took(ctx context.Context, made *translation, sum string) error {
	c.pushed, c.current = sum, made
	return c.report(ctx, made)
}

// fallBack pushes what is left without the objects that Kong refuses, and without what depends on them.
func (c *Controller) fallBack(ctx context.Context, seen snapshot, broken map[Reference]bool) error {
	instead := map[Reference]*Object{}
	if c.options.LastValid {
		for name := range broken {
			instead[name] = c.lastValid[name]
		}
	}
	rest := seen.without(withDependants(seen, broken, instead), instead)
	made := translate(rest, reasonFallbackTranslation)
	if err := c.emit(ctx, made.failures); err != nil {
		return err
	}
	sum := made.sum()
	if sum == c.pushed {
		return nil
	}
	if problems, err := c.push(ctx, encode(made.configuration())); err != nil || len(problems) > 0 {
		return err
	}
	return c.took(ctx, made, sum)
}

// withDependants adds what names a broken object: consumers their Secrets, and whatever names a plugin by a plain
// annotation. A filter, "namespace:name" and a global plugin are not known as dependencies: the route stays, and is
// open. What is put back in its former form breaks nothing.
func withDependants(s snapshot, broken map[Reference]bool, instead map[Reference]*Object) map[Reference]bool {
	all := map[Reference]bool{}
	for name := range broken {
		all[name] = true
	}
	names := func(list []string, namespace, kind string) bool {
		return slices.ContainsFunc(list, func(name string) bool {
			found := s.get(kind, namespace, name)
			if kind == "KongPlugin" {
				found = s.plugin(namespace, name)
			}
			return found != nil && broken[referenceTo(found)] && instead[referenceTo(found)] == nil
		})
	}
	for reference, o := range s.objects {
		if names(textsAt(o.Object, "credentials"), o.GetNamespace(), "Secret") && o.GetKind() == "KongConsumer" ||
			names(split(o.GetAnnotations()[annotationPlugins]), o.GetNamespace(), "KongPlugin") {
			all[reference] = true
		}
	}
	for reference, o := range s.objects {
		if o.GetKind() != "Ingress" && o.GetKind() != "HTTPRoute" {
			continue
		}
		for gone := range all {
			if gone.Kind == "Service" && gone.Namespace == o.GetNamespace() && leadsTo(o, gone.Name) {
				all[reference] = true
			}
		}
	}
	return all
}

// leadsTo says whether a route has a Service as a backend.
func leadsTo(o *Object, service string) bool {
	for _, rule := range listAt(o.Object, "spec", "rules") {
		for _, path := range listAt(rule, "http", "paths") {
			if textAt(path, "backend", "service", "name") == service {
				return true
			}
		}
		for _, ref := range listAt(rule, "backendRefs") {
			if textAt(ref, "name") == service {
				return true
			}
		}
	}
	return false
}

func (c *Controller) emit(ctx context.Context, events []Event) error {
	var errs []error
	for _, event := range events {
		errs = append(errs, c.store.Emit(ctx, event))
	}
	return errors.Join(errs...)
}

// problem is what Kong says of one entity.
type problem struct {
	tags    []string
	field   string // with the kind and name of the entity where it is about no field
	message string
}

// push gives every node a configuration. Problems are those of the last node that refused it.
func (c *Controller) push(ctx context.Context, text string) ([]problem, error) {
	var found []problem
	for i, node := range c.options.Nodes {
		status, body, err := c.askNode(ctx, node, http.MethodPost, "/config?flatten_errors=1", text)
		if err != nil {
			return nil, err
		}
		if status < http.StatusBadRequest {
			continue
		}
		namespace, pod, _ := strings.Cut(c.options.Pod, "/")
		message := fmt.Sprintf("failed to apply Kong configuration to %s: HTTP status %d "+
			`(message: "failed posting new config to /config")`,
			c.options.NodeNames[i], status)
		if err := c.store.Emit(ctx, Event{Reference{"Pod", namespace, pod}, reasonApply, message}); err != nil {
			return nil, err
		}
		if found, err = problemsOf(body); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ask asks the first node.
func (c *Controller) ask(ctx context.Context, method, path, text string) (int, []byte, error) {
	return c.askNode(ctx, c.options.Nodes[0], method, path, text)
}

func (c *Controller) askNode(ctx context.Context, node, method, path, text string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, node+path, strings.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.options.Client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// problemsOf reads flattened errors.
func problemsOf(body []byte) ([]problem, error) {
	var answer struct {
		Message   string `json:"message"`
		Flattened []struct {
			Type   string   `json:"entity_type"`
			Name   string   `json:"entity_name"`
			Tags   []string `json:"entity_tags"`
			Errors []struct {
				Type    string `json:"type"`
				Field   string `json:"field"`
				Message any    `json:"message"`
			} `json:"errors"`
		} `json:"flattened_errors"`
	}
	// Nothing flattened is an empty object, as Lua has it.
	body = bytes.ReplaceAll(body, []byte(`"flattened_errors":{}`), []byte(`"flattened_errors":[]`))
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the errors of a configuration: %w", err)
	}
	found := []problem{}
	for _, entity := range answer.Flattened {
		for _, one := range entity.Errors {
			found = append(found, problem{entity.Tags, cmp.Or(one.Field, entity.Type+":"+entity.Name), fmt.Sprint(one.Message)})
		}
	}
	if len(found) == 0 {
		found = append(found, problem{message: answer.Message})
	}
	return found, nil
}

// blame tells the objects of what Kong says of their entities.
func (c *Controller) blame(ctx context.Context, seen snapshot, problems []problem) (map[Reference]bool, error) {
	broken := map[Reference]bool{}
	for _, one := range problems {
		on := Reference{Kind: tagged(one.tags, "k8s-kind:"), Namespace: tagged(one.tags, "k8s-namespace:"),
			Name: tagged(one.tags, "k8s-name:")}
		if seen.objects[on] == nil {
			continue
		}
		broken[on] = true
		if err := c.store.Emit(ctx, Event{on, reasonApply, "invalid " + one.field + ": " + one.message}); err != nil {
			return nil, err
		}
	}
	return broken, nil
}

func tagged(tags []string, prefix string) string {
	for _, tag := range tags {
		if value, is := strings.CutPrefix(tag, prefix); is {
			return value
		}
	}
	return ""
}

// encode is deterministic: the names of records are sorted.
func encode(config fields) string {
	raw, err := json.Marshal(config)
	if err != nil {
		return "" // cannot be: it is made of JSON values
	}
	return string(raw)
}

func validJSON(text string, into *any) bool { return json.Unmarshal([]byte(text), into) == nil }

// Services and Upstreams are those of the configuration that the nodes run, as the real controller sends them: the
// simulated Kong holds services with the addresses of their targets, and no upstreams.
func (c *Controller) Services() []any {
	return c.sent(func(t *translation) map[string]fields { return t.services })
}

// Upstreams see Services.
func (c *Controller) Upstreams() []any {
	return c.sent(func(t *translation) map[string]fields { return t.upstreams })
}

func (c *Controller) sent(entities func(*translation) map[string]fields) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []any{}
	if c.current != nil {
		for _, name := range slices.Sorted(maps.Keys(entities(c.current))) {
			all = append(all, entities(c.current)[name])
		}
	}
	return all
}

// Targets are those of an upstream.
func (c *Controller) Targets(upstream string) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := []any{}
	if c.current == nil {
		return all
	}
	for _, target := range c.current.targets[upstream] {
		name, _ := target.(string)
		all = append(all, fields{"id": idOf("targets", upstream+name), "target": target, "weight": 100,
			"upstream": reference(idOf("upstreams", upstream))})
	}
	return all
}

// Pushed tells configurations apart that the nodes run.
func (c *Controller) Pushed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pushed
}
