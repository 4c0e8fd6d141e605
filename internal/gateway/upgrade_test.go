package gateway

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// upgradable is a Kong that becomes a newer one: the schema of the jwt plugin has a field more, with a default, and every answer has it filled in.
type upgradable struct {
	AdminAPI
	newer *atomic.Bool
}

const addedField = "added_by_the_newer_version"

func (u upgradable) Node(ctx context.Context) (kong.Node, error) {
	node, err := u.AdminAPI.Node(ctx)
	if u.newer.Load() {
		node.Version = "3.10.0"
	}
	return node, err
}

func (u upgradable) PluginSchema(ctx context.Context, name string) (kong.Schema, error) {
	schema, err := u.AdminAPI.PluginSchema(ctx, name)
	if u.newer.Load() && name == "jwt" {
		schema.Config.Fields = append(slices.Clone(schema.Config.Fields),
			kong.Field{Name: addedField, Type: kong.TypeString, Required: true, HasDefault: true, Default: "on"})
	}
	return schema, err
}

func (u upgradable) filled(e kong.Entity) kong.Entity {
	if u.newer.Load() && e.Kind == kong.KindPlugin && e.Fields.Text("name") == "jwt" {
		e.Fields.Object("config")[addedField] = "on"
	}
	return e
}

func (u upgradable) Put(ctx context.Context, e kong.Entity) (kong.Entity, error) {
	answer, err := u.AdminAPI.Put(ctx, e)
	if err != nil {
		return answer, err
	}
	return u.filled(answer), nil
}

func (u upgradable) List(ctx context.Context, kind kong.Kind, opts kong.ListOptions) iter.Seq2[kong.Entity, error] {
	return func(yield func(kong.Entity, error) bool) {
		for e, err := range u.AdminAPI.List(ctx, kind, opts) {
			if err == nil {
				e = u.filled(e)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// What a newer version of Kong adds and fills in is no drift: nothing is written for it, before or after, with either policy.
func TestWhatANewerKongAddsIsNoDrift(t *testing.T) {
	for name, report := range map[string]bool{"Correct": false, "Report": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var newer atomic.Bool
			var drifted atomic.Int64
			r.registry.Close()
			r.registry = NewRegistry(Options{
				Installation: "here", Now: r.clock.Now, Heartbeat: 20 * time.Millisecond,
				Drifted: func(string, kong.Kind) { drifted.Add(1) },
				Connect: func(config kong.Config) (AdminAPI, error) {
					client, err := kong.New(config)
					return upgradable{client, &newer}, err
				},
			})
			var err error
			r.gateway, err = r.registry.Ensure("default", Settings{Client: kong.Config{URL: r.sim.AdminURL()}, DriftInterval: time.Hour, ReportDrift: report})
			if err != nil {
				t.Fatal(err)
			}
			r.expect(EventConnected, nil)
			set := r.service("shop", "all")
			r.opened(set)

			newer.Store(true)
			r.gateway.CheckFor(set.Owner, "upgraded")
			r.eventually("the newer version is known", func() bool { return r.gateway.State().KongVersion == "3.10.0" && r.gateway.State().Ready })
			if writes := r.mustSync(set); writes != 0 {
				t.Errorf("%d writes after the upgrade", writes)
			}
			r.gateway.CheckFor(set.Owner, "once more")
			r.eventually("it is listed again", func() bool {
				r.gateway.mu.Lock()
				defer r.gateway.mu.Unlock()
				return r.gateway.listings >= 3
			})
			result, err := r.sync(set)
			if err != nil || result.Writes != 0 || len(result.Drifts) != 0 || drifted.Load() != 0 {
				t.Errorf("%d writes, drift %v, %d counted, %v", result.Writes, result.Drifts, drifted.Load(), err)
			}
		})
	}
}
