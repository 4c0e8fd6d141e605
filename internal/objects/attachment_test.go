package objects

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// attachedSet is one that puts two plugins on an object.
func attachedSet(object string) desired.Set {
	owner := desired.ServiceOwner("team", "api")
	on := map[string]any{"id": desired.AttachedID}
	kind, parent := kong.KindRoute, "route"
	if object == "Service" {
		kind, parent = kong.KindService, "service"
	}
	return desired.Set{
		Owner: owner, Attach: &desired.Target{Kind: kind, Name: "orders", Object: object}, Entities: []kong.Entity{
			entity(kong.KindPlugin, owner, "jwt", kong.Fields{"name": "jwt", parent: on, "config": map[string]any{}}),
			entity(kong.KindPlugin, owner, "acl", kong.Fields{"name": "acl", parent: on, "config": map[string]any{}}),
		},
	}
}

func TestAnAttachmentIsOneAnnotationAndNothingElse(t *testing.T) {
	for object, version := range map[string]string{
		"Service": "v1", "Ingress": "networking.k8s.io/v1", "HTTPRoute": "gateway.networking.k8s.io/v1",
	} {
		all := of(t, attachedSet(object))
		var plugins []string
		var on []Object
		for _, o := range all {
			switch {
			case o.Kind == KindClusterPlugin:
				plugins = append(plugins, o.Name)
			case o.Attached:
				on = append(on, o)
			default:
				t.Errorf("%s: %s is written too", object, o)
			}
		}
		slices.Sort(plugins)
		if len(on) != 1 || on[0].Rank() != RankTop || on[0].Reference != (Reference{version, object, "team", "orders"}) {
			t.Fatalf("%s: %+v", object, on)
		}
		content := on[0].Content
		metadata, _ := content["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		if !slices.Equal(slices.Sorted(maps.Keys(content)), []string{"apiVersion", "kind", "metadata"}) ||
			!slices.Equal(slices.Sorted(maps.Keys(metadata)), []string{"annotations", "name", "namespace"}) ||
			len(annotations) != 1 || annotations[AnnotationPlugins] != strings.Join(plugins, ",") {
			t.Errorf("%s: %+v", object, content)
		}
	}
}

func TestAFieldManagerIsOneResourcesAndOneGateways(t *testing.T) {
	long := strings.Repeat("a", 253)
	other := settings
	other.Scope.Gateway = "other"
	seen := map[string]bool{}
	for _, s := range []Settings{settings, other} {
		for _, owner := range []desired.Owner{
			desired.ServiceOwner("team", "api"), desired.ServiceOwner("team", "api2"), desired.ServiceOwner("other", "api"),
			desired.ServiceOwner("team", long), desired.ServiceOwner("team", long[:252]),
		} {
			manager := s.AttachManager(owner)
			if seen[manager] || len(manager) > 128 || !strings.HasPrefix(manager, "kongjwt."+owner.Name[:3]) {
				t.Errorf("%s: %s", owner, manager)
			}
			seen[manager] = true
		}
	}
}
