package declarative

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// The functions here are pure: configurations in, configurations out.

func ownerOf(e kong.Entity) desired.Owner {
	ownership, _ := desired.ParseTags(e.Fields.Tags())
	return ownership.Owner
}

// parentsOf are the ids of what an entity belongs to, each once.
func parentsOf(e kong.Entity) []string {
	parents := []string{e.ConsumerID, e.Fields.Ref("consumer"), e.Fields.Ref("service"), e.Fields.Ref("route")}
	parents = slices.DeleteFunc(parents, func(id string) bool { return id == "" })
	slices.Sort(parents)
	return slices.Compact(parents)
}

func childrenByParent(c configuration) map[string][]string {
	children := map[string][]string{}
	for id, e := range c {
		for _, parent := range parentsOf(e) {
			children[parent] = append(children[parent], id)
		}
	}
	return children
}

// withChanges gives a configuration with changes.
func withChanges(base configuration, changes map[string]change) configuration {
	result := maps.Clone(base)
	for id, c := range changes {
		if c.entity == nil {
			delete(result, id)
			continue
		}
		result[id] = *c.entity
	}
	return result
}

// without gives a configuration without some entities and what belongs to them.
func without(c configuration, ids []string) configuration {
	smaller := maps.Clone(c)
	children := childrenByParent(c)
	for gone := slices.Clone(ids); len(gone) > 0; gone = gone[1:] {
		if _, there := smaller[gone[0]]; there {
			delete(smaller, gone[0])
			gone = append(gone, children[gone[0]]...)
		}
	}
	return smaller
}

// protectedBy lists the routes that would be open without an entity: those of the service that a plugin is on.
func protectedBy(c configuration, id string) (routes []string) {
	guard := c[id].Fields
	service := guard.Ref("service")
	if c[id].Kind != kong.KindPlugin || service == "" || guard.Ref("route") != "" || guard.Ref("consumer") != "" {
		return nil
	}
	for _, child := range childrenByParent(c)[service] {
		if c[child].Kind == kong.KindRoute {
			routes = append(routes, child)
		}
	}
	return routes
}

// removals are those changes that take access away and expose nothing: credentials, groups, routes and consumers that
// go. They are pushed alone where the rest is refused. A consumer stays where another change still refers to it.
func removals(base configuration, changes map[string]change) map[string]change {
	ending := map[string]change{}
	for id, c := range changes {
		former, there := base[id]
		if c.entity != nil || !there {
			continue
		}
		switch former.Kind {
		case kong.KindJWT, kong.KindACL, kong.KindRoute, kong.KindConsumer:
			ending[id] = c
		case kong.KindPlugin:
			if former.Fields.Ref("consumer") != "" || former.Fields.Ref("route") != "" {
				ending[id] = c // it goes with its consumer or route, see below
			}
		}
	}
	children := childrenByParent(base)
	for id := range ending {
		kept := func(child string) bool { _, goes := ending[child]; return !goes }
		if slices.ContainsFunc(children[id], kept) {
			delete(ending, id)
		}
	}
	for id := range ending {
		parents := parentsOf(base[id])
		goes := func(parent string) bool { _, ends := ending[parent]; return ends }
		if base[id].Kind == kong.KindPlugin && !slices.ContainsFunc(parents, goes) {
			delete(ending, id) // what it is on stays, and may need it
		}
	}
	return ending
}

// ownersOf lists whose changes they are: those first that make the configuration smaller.
func ownersOf(base configuration, changes map[string]change) []desired.Owner {
	grows := growths(base, changes)
	return slices.SortedFunc(maps.Keys(grows), func(a, b desired.Owner) int {
		if grows[a] != grows[b] {
			return grows[a] - grows[b]
		}
		return strings.Compare(a.String(), b.String())
	})
}

// growths says by about how many bytes each owner's changes make the configuration larger.
func growths(base configuration, changes map[string]change) map[desired.Owner]int {
	grows := map[desired.Owner]int{}
	for id, c := range changes {
		if former, there := base[id]; there {
			grows[c.owner] -= sizeOf(map[string]any(former.Fields))
		}
		if c.entity != nil {
			grows[c.owner] += sizeOf(map[string]any(c.entity.Fields))
		}
	}
	return grows
}

// sizeOf is about how many bytes a value takes in JSON.
func sizeOf(value any) int {
	const number, punctuation = 6, 4
	switch typed := value.(type) {
	case map[string]any:
		size := punctuation
		for name, child := range typed {
			size += len(name) + punctuation + sizeOf(child)
		}
		return size
	case []any:
		size := punctuation
		for _, child := range typed {
			size += sizeOf(child)
		}
		return size
	case []string:
		size := punctuation
		for _, child := range typed {
			size += len(child) + punctuation
		}
		return size
	case string:
		return len(typed) + punctuation
	default:
		return number
	}
}

// overBudget finds the owners whose changes make the configuration larger, though their namespace has more than half
// of limit then, and others have something too. It gives the bytes that the namespace would have.
func overBudget(base configuration, changes map[string]change, limit int64) map[desired.Owner]int {
	if limit == 0 {
		return nil
	}
	grows, totals := growths(base, changes), map[string]int{}
	for owner, bytes := range grows {
		totals[owner.Namespace] += bytes
	}
	have := map[string]bool{}
	for _, e := range base {
		namespace := ownerOf(e).Namespace
		have[namespace] = true
		if _, changes := totals[namespace]; changes {
			totals[namespace] += sizeOf(map[string]any(e.Fields))
		}
	}
	delete(have, "") // the gateway's own
	over := map[desired.Owner]int{}
	for owner, bytes := range grows {
		total := totals[owner.Namespace]
		alone := len(have) == 0 || len(have) == 1 && have[owner.Namespace]
		if owner.Namespace != "" && bytes > 0 && !alone && int64(total) > limit/2 {
			over[owner] = total
		}
	}
	return over
}

// changesOf are the changes of some owners.
func changesOf(changes map[string]change, owners []desired.Owner) map[string]change {
	wanted := make(map[desired.Owner]bool, len(owners))
	for _, owner := range owners {
		wanted[owner] = true
	}
	part := map[string]change{}
	for id, c := range changes {
		if wanted[c.owner] {
			part[id] = c
		}
	}
	return part
}

// combine makes a configuration of what is this process's own in ours, and what is others' in theirs.
func combine(ours, theirs configuration, own func(desired.Owner) bool) configuration {
	combined := configuration{}
	for id, e := range theirs {
		if ownership, owned := desired.ParseTags(e.Fields.Tags()); !owned || !own(ownership.Owner) {
			combined[id] = e
		}
	}
	for id, e := range ours {
		// What a deleted resource left is nobody's, and everybody's to carry along.
		if ownership, owned := desired.ParseTags(e.Fields.Tags()); !owned || own(ownership.Owner) {
			combined[id] = e
		}
	}
	return combined
}

func sorted(c configuration) []kong.Entity {
	return slices.SortedFunc(maps.Values(c), func(a, b kong.Entity) int { return strings.Compare(a.ID, b.ID) })
}
