package ingress

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
)

// measure does again what was measured many times, a few times.
func (r *run) measure(ctx context.Context, s step) (string, error) {
	switch {
	case s.Order != "":
		return r.order(ctx, s)
	case s.Rotation != nil:
		return r.rotation(ctx, s.Rotation)
	case s.Measured["rotations"] != nil:
		if s.Measured["refused"] != 0.0 {
			return "the recording has requests that were refused", nil
		}
		return "", nil // each of its rotations is a step of its own
	}
	return r.comeAndGo(ctx)
}

// objects of the measurements.
func (r *run) plugin(name string) map[string]any {
	return map[string]any{
		"apiVersion": "configuration.konghq.com/v1", "kind": "KongPlugin", "plugin": "jwt",
		"metadata": map[string]any{"name": name, "namespace": r.Namespace},
		"config":   map[string]any{"claims_to_verify": []any{"exp"}},
	}
}

func (r *run) route(host, plugins, header string) map[string]any {
	annotations := map[string]any{}
	if plugins != "" {
		annotations["konghq.com/plugins"] = plugins
	}
	if header != "" {
		annotations["konghq.com/headers.x-guard"] = header
	}
	return map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"metadata": map[string]any{"name": "ing", "namespace": r.Namespace, "annotations": annotations},
		"spec": map[string]any{"ingressClassName": "kong", "rules": []any{map[string]any{
			"host": host, "http": map[string]any{"paths": []any{map[string]any{
				"path": "/m", "pathType": "Prefix",
				"backend": map[string]any{"service": map[string]any{"name": "echo", "port": map[string]any{"number": 9980}}},
			}}},
		}}},
	}
}

func (r *run) consumer(credentials ...any) map[string]any {
	return map[string]any{
		"apiVersion": "configuration.konghq.com/v1", "kind": "KongConsumer", "username": "rotated",
		"credentials": credentials,
		"metadata": map[string]any{
			"name": "rotated", "namespace": r.Namespace, "annotations": map[string]any{"kubernetes.io/ingress.class": "kong"},
		},
	}
}

const measuredHost = "measured.example"

func (r *run) upstreamService(ctx context.Context) error {
	_, _, err := r.apply(ctx, map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "echo", "namespace": r.Namespace},
		"spec": map[string]any{"type": "ExternalName", "externalName": "localhost",
			"ports": []any{map[string]any{"port": 9980, "name": "http"}}},
	}, "")
	return err
}

// watch polls without a token until forget, and gives the answers.
func (r *run) watch(t *token, seconds float64) *poll {
	p := &poll{host: measuredHost, path: "/m", token: t, next: r.now, until: r.now + seconds, seen: map[string]*span{}}
	r.watches = append(r.watches, p)
	return p
}

// push goes on to just after the next look of the controller.
func (r *run) push(ctx context.Context) error { return r.advance(ctx, r.nextTick+0.05) }

type writing func() error

// order writes and deletes a route and its plugin in an order, and sees for how long the route is open.
func (r *run) order(ctx context.Context, s step) (string, error) {
	put := func(object map[string]any) writing {
		return func() error { _, _, err := r.apply(ctx, object, ""); return err }
	}
	drop := func(name string) writing { return func() error { r.remove(name, r.Namespace); return nil } }
	plugin, route := put(r.plugin("jwt")), put(r.route(measuredHost, "jwt", ""))
	orders := map[string][][]writing{
		"ingress-then-plugin-next-push": {{}, {route}, {plugin}, {}},
		"plugin-then-ingress-next-push": {{}, {plugin}, {route}, {}},
		"delete-plugin-then-ingress-next-push": {{plugin, route}, {drop("KongPlugin/jwt")}, {drop("Ingress/ing")},
			{}},
		"delete-ingress-then-plugin-next-push": {{plugin, route}, {drop("Ingress/ing")}, {drop("KongPlugin/jwt")},
			{}},
		"annotation-names-a-plugin-that-comes-next-push": {{plugin, route}, {put(r.route(measuredHost, "jwt2", ""))},
			{put(r.plugin("jwt2"))}, {drop("Ingress/ing")}, {}},
		"plugin-recreated-delete-and-create": {{plugin, route}, {drop("KongPlugin/jwt")}, {plugin},
			{drop("Ingress/ing")}, {}},
	}
	steps, known := orders[s.Order]
	if !known {
		return "this order is not known: " + s.Order, nil
	}
	if err := r.upstreamService(ctx); err != nil {
		return "", err
	}
	p := r.watch(nil, tickSeconds*float64(len(steps)))
	for _, writes := range steps {
		for _, write := range writes {
			if err := write(); err != nil {
				return "", err
			}
		}
		if err := r.push(ctx); err != nil {
			return "", err
		}
	}
	open := 0.0
	if seen := p.seen["kong1: 200 "]; seen != nil {
		open = seen.last - seen.first + pollSeconds
	}
	for _, name := range []string{"Ingress/ing", "KongPlugin/jwt", "KongPlugin/jwt2"} {
		r.remove(name, r.Namespace)
	}
	if math.Abs(open-s.OpenSeconds) > slack {
		return fmt.Sprintf("%s: open for %.1f s, got %.1f s", s.Order, s.OpenSeconds, open), nil
	}
	return "", r.push(ctx)
}

// rotation rotates once by the recipe, the write as long before the controller's look as it was recorded.
func (r *run) rotation(ctx context.Context, measured map[string]any) (string, error) {
	wait, _ := measured["writeToProgrammedMs"].(float64)
	name := fmt.Sprintf("key-%.0f", r.now*1000)
	former, now := jwtSecret(r.Namespace, "old", name+"-old", "old-secret-0123456789abcdef012345678"),
		jwtSecret(r.Namespace, "new", name+"-new", "new-secret-0123456789abcdef012345678")
	write := func(objects ...map[string]any) error {
		for _, object := range objects {
			if _, _, err := r.apply(ctx, object, ""); err != nil {
				return err
			}
		}
		return nil
	}
	if err := r.upstreamService(ctx); err != nil {
		return "", err
	}
	if err := write(former, r.plugin("jwt"), r.route(measuredHost, "jwt", ""), r.consumer("old")); err != nil {
		return "", err
	}
	if err := r.push(ctx); err != nil {
		return "", err
	}
	old := r.watch(tokenOf(former), 2*tickSeconds)
	if err := r.advance(ctx, max(r.now, r.nextTick-wait/1000)); err != nil {
		return "", err
	}
	begun := r.now
	if err := write(now, r.consumer("old", "new")); err != nil {
		return "", err
	}
	if err := r.push(ctx); err != nil {
		return "", err
	}
	fresh := r.watch(tokenOf(now), 2*tickSeconds)
	programmed := (r.now - begun) * 1000
	if err := r.advance(ctx, r.now+1); err != nil {
		return "", err
	}
	old.next = math.Inf(1) // its clients have changed to the new one
	if err := write(r.consumer("new")); err != nil {
		return "", err
	}
	if err := r.push(ctx); err != nil {
		return "", err
	}
	r.remove("Secret/old", r.Namespace)
	if err := r.push(ctx); err != nil {
		return "", err
	}
	for _, p := range []*poll{old, fresh} {
		for answer := range p.seen {
			if !strings.HasSuffix(answer, " 200 ") {
				return "a request was answered " + answer, nil
			}
		}
	}
	if math.Abs(programmed-wait) > slack*1000 {
		return fmt.Sprintf("Programmed after %.0f ms, got %.0f ms", wait, programmed), nil
	}
	return "", nil
}

// comeAndGo lets a protected route come and go: nobody without a token gets past it.
func (r *run) comeAndGo(ctx context.Context) (string, error) {
	if err := r.upstreamService(ctx); err != nil {
		return "", err
	}
	p := r.watch(nil, 10*tickSeconds)
	guarded := strings.HasPrefix(r.Scenario, "guarded")
	for range 3 {
		var steps []map[string]any
		if guarded {
			steps = append(steps, r.route("guard.invalid", "jwt", "unguessable"))
		}
		steps = append(steps, r.route(measuredHost, "jwt", ""))
		if guarded {
			steps = append(steps, r.route("guard.invalid", "jwt", "unguessable"))
		}
		if _, _, err := r.apply(ctx, r.plugin("jwt"), ""); err != nil {
			return "", err
		}
		for _, route := range steps {
			if _, _, err := r.apply(ctx, route, ""); err != nil {
				return "", err
			}
			if err := r.push(ctx); err != nil {
				return "", err
			}
		}
		r.remove("KongPlugin/jwt", r.Namespace)
		r.remove("Ingress/ing", r.Namespace)
		if err := r.push(ctx); err != nil {
			return "", err
		}
	}
	answers := fmt.Sprint(slices.Sorted(maps.Keys(p.seen)))
	if strings.Contains(answers, fmt.Sprint(" ", http.StatusOK)) || !strings.Contains(answers, "401 Unauthorized") {
		return "without a token: " + answers, nil
	}
	return "", nil
}
