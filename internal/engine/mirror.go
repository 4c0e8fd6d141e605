package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// hash is a keyed hash of an entity's canonical form. The key lives as long as the process: nothing can be learnt from one.
type hash [16]byte

type hasher struct{ key []byte }

func (h hasher) sum(canonical []byte) (sum hash) {
	mac := hmac.New(sha256.New, h.key)
	mac.Write(canonical)
	copy(sum[:], mac.Sum(nil))
	return sum
}

// entry is what the mirror keeps of an entity of ours: never its content.
type entry struct {
	kind       kong.Kind
	id         string
	consumerID string
	owner      desired.Owner
	part       string
	// hash is of the entity as Kong shows it.
	hash hash
	// sent is of the entity as it was sent, where Kong filled in something itself: it stands for the same. Else zero.
	sent hash
	// unknown: a write may have been done or not. The next plan does it again.
	unknown bool
	claims  []desired.UniqueKey
	// service, route and consumer that a plugin is on, or the service of a route.
	service, route, consumer string
	// plugin is the name of a plugin.
	plugin string
	// groups are the group of an acl row, or what an acl plugin allows.
	groups []string
	// since is when the entity was last written, or first seen as it is.
	since time.Time
	// stamp counts our writes: a listing that began before it does not judge this entry.
	stamp uint64
}

// is says whether a hash of what is wanted stands for what Kong holds.
func (e entry) is(want hash) bool {
	return !e.unknown && (e.hash == want || e.sent != hash{} && e.sent == want)
}

// describe makes an entry of an entity.
func describe(e kong.Entity, owner desired.Owner, part string, sum hash) entry {
	d := entry{
		kind: e.Kind, id: e.ID, consumerID: e.ConsumerID, owner: owner, part: part, hash: sum,
		claims:  desired.UniqueKeys(e),
		service: e.Fields.Ref("service"), route: e.Fields.Ref("route"), consumer: e.Fields.Ref("consumer"),
	}
	switch e.Kind {
	case kong.KindPlugin:
		d.plugin = e.Fields.Text("name")
		if d.plugin == pluginACL {
			d.groups = kong.Fields(e.Fields.Object("config")).Strings("allow")
		}
	case kong.KindACL:
		d.groups = []string{e.Fields.Text("group")}
	}
	return d
}

// mirror indexes entries. It is not safe for concurrent use: its Gateway locks.
type mirror struct {
	scope   desired.Scope
	entries map[string]*entry
	// elsewhere has, by the id that the operator would have given, the entries that have another: they were adopted.
	elsewhere map[string]map[string]*entry
	// byOwner and byUnique have few entries under each of many keys.
	byOwner  map[desired.Owner][]*entry
	byUnique map[lookupKey][]*entry
	// byGroup has the acl rows of a group, allowing the acl plugins that allow it: there may be thousands.
	byGroup, allowing map[string]map[string]*entry
}

type lookupKey struct {
	kind  desired.UniqueKind
	value string
}

func keyOf(c desired.UniqueKey) lookupKey { return lookupKey{c.Kind, c.Value} }

func newMirror(scope desired.Scope) *mirror {
	return &mirror{
		scope:     scope,
		entries:   map[string]*entry{},
		elsewhere: map[string]map[string]*entry{},
		byOwner:   map[desired.Owner][]*entry{},
		byUnique:  map[lookupKey][]*entry{},
		byGroup:   map[string]map[string]*entry{},
		allowing:  map[string]map[string]*entry{},
	}
}

// set puts an entry in, over a former one of the same id, and gives the claims that became free.
func (m *mirror) set(e entry) (freed []desired.UniqueKey) {
	if former := m.entries[e.id]; former != nil {
		freed = slices.DeleteFunc(slices.Clone(former.claims), func(c desired.UniqueKey) bool { return slices.Contains(e.claims, c) })
		m.unindex(former)
	}
	m.entries[e.id] = &e
	if given := m.given(e); given != e.id {
		insert(m.elsewhere, given, &e)
	}
	add(m.byOwner, e.owner, &e)
	for _, claim := range e.claims {
		add(m.byUnique, keyOf(claim), &e)
	}
	for _, group := range e.groups {
		insert(m.groupIndex(e.kind), group, &e)
	}
	return freed
}

// remove takes an entry out, and gives the claims that became free.
func (m *mirror) remove(id string) (freed []desired.UniqueKey) {
	former := m.entries[id]
	if former == nil {
		return nil
	}
	m.unindex(former)
	delete(m.entries, id)
	return former.claims
}

func (m *mirror) unindex(e *entry) {
	drop(m.elsewhere, m.given(*e), e.id)
	subtract(m.byOwner, e.owner, e)
	for _, claim := range e.claims {
		subtract(m.byUnique, keyOf(claim), e)
	}
	for _, group := range e.groups {
		drop(m.groupIndex(e.kind), group, e.id)
	}
}

// given is the id that the operator gives to what an entry stands for, told by its owner and part alone.
func (m *mirror) given(e entry) string {
	if e.kind == kong.KindACL && len(e.groups) == 1 {
		return m.scope.ACLID(desired.ConsumerID(m.scope, e.owner.Namespace, e.owner.Name), e.groups[0])
	}
	return m.scope.ID(e.kind, e.owner, e.part)
}

// actual is the id in Kong of what the operator would give an id: another, where it was adopted. It is read from the tags in Kong and
// from nowhere else, so that it survives whatever Kubernetes loses.
func (m *mirror) actual(given string) string {
	if m.entries[given] != nil || len(m.elsewhere[given]) == 0 {
		return given
	}
	return slices.Min(slices.Collect(maps.Keys(m.elsewhere[given])))
}

func (m *mirror) groupIndex(kind kong.Kind) map[string]map[string]*entry {
	if kind == kong.KindACL {
		return m.byGroup
	}
	return m.allowing
}

func insert[K comparable](index map[K]map[string]*entry, key K, e *entry) {
	if index[key] == nil {
		index[key] = map[string]*entry{}
	}
	index[key][e.id] = e
}

func drop[K comparable](index map[K]map[string]*entry, key K, id string) {
	delete(index[key], id)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}

// add puts an entry in once: a route may have two claims that differ in their methods alone.
func add[K comparable](index map[K][]*entry, key K, e *entry) {
	held := index[key]
	if slices.Contains(held, e) {
		return
	}
	// One is what most keys have: append would take room for more.
	grown := make([]*entry, len(held)+1)
	copy(grown, held)
	grown[len(held)] = e
	index[key] = grown
}

func subtract[K comparable](index map[K][]*entry, key K, e *entry) {
	held := slices.DeleteFunc(index[key], func(other *entry) bool { return other == e })
	if len(held) == 0 {
		delete(index, key)
		return
	}
	index[key] = held
}

// of lists the entries of an owner, by id.
func (m *mirror) of(owner desired.Owner) []entry {
	entries := make([]entry, 0, len(m.byOwner[owner]))
	for _, e := range m.byOwner[owner] {
		entries = append(entries, *e)
	}
	slices.SortFunc(entries, func(a, b entry) int { return compare(a.id, b.id) })
	return entries
}

// holder finds an entry of another id that holds what a claim needs.
func (m *mirror) holder(claim desired.UniqueKey, id string) *entry {
	for _, e := range m.byUnique[keyOf(claim)] {
		if e.id != id && slices.ContainsFunc(e.claims, claim.Overlaps) {
			return e
		}
	}
	return nil
}

// Counts are how many entities in Kong are ours, by kind.
type Counts struct {
	Consumers, Credentials, Groups, Services, Routes, Plugins int
}

func (m *mirror) counts() (c Counts) {
	for _, e := range m.entries {
		switch e.kind {
		case kong.KindConsumer:
			c.Consumers++
		case kong.KindJWT:
			c.Credentials++
		case kong.KindACL:
			c.Groups++
		case kong.KindService:
			c.Services++
		case kong.KindRoute:
			c.Routes++
		case kong.KindPlugin:
			c.Plugins++
		}
	}
	return c
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
