package ingress

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/ingress/held"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// narrows says whether somebody gets in by what is there of an object, and no longer by what is wanted of it. A plugin
// that is there is read; where that fails, somebody may.
func (r *run) narrows(ctx context.Context, o objects.Object, before held.Object) bool {
	plugin, _ := o.Content["plugin"].(string)
	switch {
	case before.Guarded:
		return false // nobody gets in by it
	case o.Entity == kong.KindService || o.Entity == kong.KindRoute:
		return r.namesNewGuard(before)
	case o.Entity != kong.KindPlugin || !desired.KeepsOut(plugin) || before.Sum == o.Sum:
		return false
	}
	live, err := r.cluster.get(ctx, o.Reference)
	if err != nil || live == nil {
		return err != nil
	}
	return narrower(live.Object, o.Content)
}

// namesNewGuard says whether the owner has a plugin that keeps somebody out and that was made after an object was
// written: the object names it from now on.
func (r *run) namesNewGuard(before held.Object) bool {
	for reference, o := range r.want {
		plugin, _ := o.Content["plugin"].(string)
		if o.Entity == kong.KindPlugin && desired.KeepsOut(plugin) && r.own[reference].Made > before.Epoch {
			return true
		}
	}
	return false
}

// narrower says whether a plugin keeps out somebody whom its former content admits. The groups of acl are compared; of
// all else but a realm, every change may.
func narrower(former, now map[string]any) bool {
	if now["plugin"] != "acl" || former["plugin"] != "acl" {
		return !reflect.DeepEqual(decisive(former), decisive(now))
	}
	groups := func(content map[string]any, name string) []string {
		list, _, _ := unstructured.NestedStringSlice(content, "config", name)
		return list
	}
	lacks := func(all, some []string) bool {
		return slices.ContainsFunc(some, func(group string) bool { return !slices.Contains(all, group) })
	}
	return lacks(groups(now, "allow"), groups(former, "allow")) || lacks(groups(former, "deny"), groups(now, "deny"))
}

// decisive is what of a plugin's content may decide who gets in.
func decisive(content map[string]any) []any {
	config, _, _ := unstructured.NestedMap(content, "config")
	config = maps.Clone(config)
	delete(config, "realm")
	if len(config) == 0 {
		config = nil
	}
	return []any{content["plugin"], config, content["configFrom"], content["disabled"], content["protocols"]}
}

// Overdue implements engine.Programmer. What a former process took away is known as long as the status says so.
func (r *rooms) Overdue(owner desired.Owner, said bool) (look time.Duration, overdue error) {
	if !r.link.isFilled() && said {
		return again, nil
	}
	last, b := r.held.LastAccess(owner), r.barrier.State()
	switch {
	case last <= b.Confirmed || last <= r.held.Begun() && !said:
		return 0, nil
	case !b.Late:
		return again, nil
	}
	return again, status.Wait(again, v1alpha1.ReasonRevocationPending, "%s", b.Lateness(r.settings.Class))
}
