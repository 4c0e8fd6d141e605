package engine

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/engine/plan"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// modelKong is a Kong in memory, or one node of several: what refers to what, what is unique, what goes along with
// what. It answers at once, unless there is trouble, and notes each write of the operator's that breaks a promise.
type modelKong struct {
	*modelNodes
	held map[string]kong.Entity
	// since is when an entity became as it is, and closed when a service lost a route.
	since, closed map[string]time.Time
	away          atomic.Bool
	pod
}

// modelNodes is what the nodes of a model have in common.
type modelNodes struct {
	mu      sync.Mutex
	trouble []*trouble
	// at is the moment of the last request, and inARow how many there were at it.
	at     time.Time
	inARow int
	// wiped says that no node is left that has what clients were told of.
	wiped bool
	// delay is how long a write takes to be everywhere.
	delay time.Duration
	// writes are the operator's, and hindered counts the requests that trouble kept from being done, but for those
	// that put something.
	writes, hindered atomic.Int64
	// guards gives, of each owner, the plugins that have to be there before a route of a service is, as it wants
	// them now. retained are the owners whose entities stay.
	guards   map[desired.Owner]func(service string) []kong.Entity
	retained map[desired.Owner]bool
	// specs are what each owner wanted, one after the other.
	specs map[desired.Owner][]desired.Set
	// kept are, without a database, the entities that are to be retained, by id.
	kept map[string]desired.Owner
	// changed are the services of which the operator does not know yet what somebody else did.
	changed map[string]bool
	broken  []string
	// note tells of each write.
	note func(format string, args ...any)
}

// propagates is how long the model's workers take: the sum of its two settings.
const propagates = 10 * time.Second

func newModelKong(common *modelNodes) *modelKong {
	return &modelKong{
		modelNodes: common, held: map[string]kong.Entity{}, since: map[string]time.Time{}, closed: map[string]time.Time{},
	}
}

// session is the connection of one process of the operator. It ends with the process.
type session struct {
	AdminAPI // what is not used panics
	*modelKong
	dead *atomic.Bool
}

func (s *session) CloseIdle() {}

func (s *session) Node(ctx context.Context) (node kong.Node, err error) {
	database := "postgres"
	if s.declarative() {
		database = "off"
	}
	return kong.Node{
		Version: "3.9.3", Edition: "community", Database: database,
		DBUpdateFrequency: propagates / 2, WorkerStateUpdateFrequency: propagates / 2,
		Plugins: map[string]bool{"jwt": true, "acl": true, "cors": true, "rate-limiting": true},
	}, s.request(ctx, http.MethodGet, "", func() error { return nil })
}

func (s *session) Status(ctx context.Context) (status kong.Status, err error) {
	return status, s.request(ctx, http.MethodGet, "", func() error {
		status = kong.Status{DatabaseReachable: true, ConfigurationHash: s.hash()}
		return nil
	})
}

func (s *session) Capabilities(_ context.Context, node kong.Node) (kong.Capabilities, error) {
	return kong.CapabilitiesOf(node, kong.Schemas{}), nil
}

func (s *session) PluginSchema(context.Context, string) (kong.Schema, error) {
	return kong.Schema{}, nil
}

func (s *session) EntitySchema(context.Context, kong.Kind) (kong.Field, error) {
	return kong.Field{}, nil
}

func unavailable() error { return &kong.UnavailableError{Cause: kong.CauseNetwork} }

// request does one request, with what is in its way.
func (s *session) request(ctx context.Context, method string, kind kong.Kind, do func() error, what ...any) error {
	s.mu.Lock()
	found := s.hit(method, kind)
	broken := s.dead.Load() || s.away.Load() || ctx.Err() != nil
	if broken {
		s.hindered.Add(1)
	}
	pauses := s.pauses()
	s.mu.Unlock()
	if !pauses {
		<-ctx.Done()
	}
	if broken {
		return unavailable()
	}
	if found.duringBefore != nil {
		found.duringBefore()
	}
	if found.instead != nil {
		return found.instead
	}
	s.mu.Lock()
	if s.dead.Load() {
		s.mu.Unlock()
		return unavailable()
	}
	err := do()
	if method != http.MethodGet {
		s.note("  %s %v: %v", method, what, err)
	}
	s.mu.Unlock()
	if found.duringAfter != nil {
		found.duringAfter()
	}
	if s.dead.Load() || found.after != nil {
		return unavailable()
	}
	return err
}

func notFound() error { return &kong.NotFoundError{} }

func (s *session) Put(ctx context.Context, e kong.Entity) (answer kong.Entity, err error) {
	return e, s.request(ctx, http.MethodPut, e.Kind, func() error {
		s.writes.Add(1)
		return s.put(e, false)
	}, e.ID, "of", e.ConsumerID, e.Fields.Tags())
}

// put does a PUT, or says why Kong would not. byHand says that it is somebody else's.
func (m *modelKong) put(e kong.Entity, byHand bool) error {
	e.Fields = maps.Clone(e.Fields)
	about := described(e)
	if _, there := m.held[e.ConsumerID]; !there && e.ConsumerID != "" {
		return notFound()
	}
	for _, parent := range about.Parents() {
		if _, there := m.held[parent]; !there {
			return &kong.InvalidError{Code: kong.CodeForeignKey}
		}
	}
	for id, other := range m.held {
		if id == e.ID || other.Kind != e.Kind {
			continue
		}
		for _, value := range about.UniqueValues() {
			if slices.Contains(described(other).UniqueValues(), value) {
				return &kong.ConflictError{Fields: []string{"name"}}
			}
		}
	}
	before, was := m.held[e.ID]
	if !byHand {
		m.promisesOfPut(e, before, was)
	}
	if was && before.Kind == kong.KindRoute && before.Fields.Ref("service") != about.Service {
		m.closed[before.Fields.Ref("service")] = time.Now()
	}
	if !was || !isSame(e, before) {
		m.since[e.ID] = time.Now()
	}
	m.held[e.ID] = e
	return nil
}

func described(e kong.Entity) plan.Entry { return plan.Describe(e, desired.Owner{}, "", plan.Hash{}) }

// promisesOfPut holds that no route opens before what protects it has been everywhere.
func (m *modelKong) promisesOfPut(e, before kong.Entity, was bool) {
	service := e.Fields.Ref("service")
	if e.Kind != kong.KindRoute || was && before.Fields.Ref("service") == service || m.changed[service] {
		return
	}
	for _, guard := range m.guardsOf(e) {
		held, there := m.held[guard.ID]
		if there && isSame(held, guard) && time.Since(m.since[guard.ID]) >= m.delay {
			continue
		}
		m.broken = append(m.broken, fmt.Sprintf("route %s opens, and plugin %s is not what it should be, or is so for %s",
			e.Fields.Text("name"), guard.Fields.Text("name"), time.Since(m.since[guard.ID])))
	}
}

// guardsOf are the plugins that the owner of a route wants on its service.
func (m *modelKong) guardsOf(route kong.Entity) []kong.Entity {
	ownership, _ := desired.ParseTags(route.Fields.Tags())
	of, known := m.guards[ownership.Owner]
	if !known {
		return nil
	}
	return of(route.Fields.Ref("service"))
}

func isSame(a, b kong.Entity) bool {
	return a.ConsumerID == b.ConsumerID && string(kong.Canonical(a, kong.Known{})) == string(kong.Canonical(b, kong.Known{}))
}

func (s *session) Delete(ctx context.Context, kind kong.Kind, consumerID, id string) error {
	return s.request(ctx, http.MethodDelete, kind, func() error {
		s.writes.Add(1)
		e, there := s.held[id]
		if !there || e.Kind != kind || e.ConsumerID != consumerID {
			return notFound()
		}
		return s.drop(id, false)
	}, kind, id, "of", consumerID)
}

// drop takes an entity out, and what belongs to it.
func (m *modelKong) drop(id string, byHand bool) error {
	e := m.held[id]
	children := m.childrenOf(id)
	if slices.ContainsFunc(children, func(c kong.Entity) bool { return c.Kind == kong.KindRoute }) {
		return &kong.InvalidError{Code: kong.CodeForeignKey}
	}
	if !byHand {
		m.promisesOfDelete(e, children)
	}
	for _, child := range children {
		m.forget(child)
	}
	m.forget(e)
	return nil
}

func (m *modelKong) forget(e kong.Entity) {
	// Of a route that is nobody's, or somebody else's, the operator cannot know that it was there.
	if _, ours := desired.ParseTags(e.Fields.Tags()); ours && e.Kind == kong.KindRoute {
		m.closed[e.Fields.Ref("service")] = time.Now()
	}
	delete(m.held, e.ID)
	delete(m.since, e.ID)
}

// promisesOfDelete holds that nothing of somebody else's goes, not along with another either, and that no worker can
// have a route whose jwt plugin goes. What is on a route goes with it: what is exposed is closed first.
func (m *modelKong) promisesOfDelete(e kong.Entity, children []kong.Entity) {
	if e.Kind == kong.KindRoute {
		children = nil
	}
	for _, gone := range append(children, e) {
		if isForeign(gone) {
			m.broken = append(m.broken, fmt.Sprintf("%s %s goes, which is somebody else's", gone.Kind, gone.ID))
		}
		if of, tagged := desired.ParseTags(gone.Fields.Tags()); tagged && m.retained[of.Owner] {
			m.broken = append(m.broken, fmt.Sprintf("%s %s goes, which is to be retained", gone.Kind, gone.ID))
		}
	}
	service := e.ID
	if e.Kind == kong.KindPlugin && e.Fields.Text("name") == "jwt" {
		service = e.Fields.Ref("service")
	}
	open := slices.ContainsFunc(m.childrenOf(service), func(c kong.Entity) bool { return c.Kind == kong.KindRoute })
	closed, had := m.closed[service]
	if _, ours := desired.ParseTags(m.held[service].Fields.Tags()); !ours {
		return // as with spec.attachTo: what protects it goes with its owner
	}
	if open || had && time.Since(closed) < m.delay {
		m.broken = append(m.broken, fmt.Sprintf("%s %s goes while a worker may have a route of its service", e.Kind, e.ID))
	}
}

// childrenOf lists what refers to an entity, by id.
func (m *modelKong) childrenOf(id string) (children []kong.Entity) {
	for _, key := range slices.Sorted(maps.Keys(m.held)) {
		if slices.Contains(described(m.held[key]).Parents(), id) {
			children = append(children, m.held[key])
		}
	}
	return children
}

// isForeign says whether somebody else made an entity, and nobody has taken it over.
func isForeign(e kong.Entity) bool {
	_, tagged := desired.ParseTags(e.Fields.Tags())
	return e.Fields.Text("marker") == "foreign" && !tagged
}

func (s *session) PatchTags(ctx context.Context, kind kong.Kind, _, id string, tags []string) (kong.Entity, error) {
	var e kong.Entity
	err := s.request(ctx, http.MethodPatch, kind, func() error {
		s.writes.Add(1)
		var there bool
		if e, there = s.held[id]; !there {
			return notFound()
		}
		e.Fields = maps.Clone(e.Fields)
		e.Fields["tags"] = tags
		s.held[id] = e
		return nil
	}, kind, id, tags)
	return e, err
}

func (s *session) Get(ctx context.Context, kind kong.Kind, nameOrID string) (found kong.Entity, err error) {
	err = s.request(ctx, http.MethodGet, kind, func() error {
		for _, e := range s.held {
			names := []string{e.ID, e.Fields.Text("name"), e.Fields.Text("username"), e.Fields.Text("key")}
			if e.Kind == kind && slices.Contains(names, nameOrID) {
				found = e
				return nil
			}
		}
		return notFound()
	})
	return found, err
}

func (s *session) List(ctx context.Context, kind kong.Kind, options kong.ListOptions) iter.Seq2[kong.Entity, error] {
	return s.list(ctx, kind, func(e kong.Entity) bool {
		return !slices.ContainsFunc(options.Tags, func(tag string) bool { return !slices.Contains(e.Fields.Tags(), tag) })
	})
}

func (s *session) ListChildren(
	ctx context.Context, _ kong.Kind, parent string, kind kong.Kind,
) iter.Seq2[kong.Entity, error] {
	return s.list(ctx, kind, func(e kong.Entity) bool { return slices.Contains(described(e).Parents(), parent) })
}

// list lists as of one moment.
func (s *session) list(ctx context.Context, kind kong.Kind, has func(kong.Entity) bool) iter.Seq2[kong.Entity, error] {
	var found []kong.Entity
	err := s.request(ctx, http.MethodGet, kind, func() error {
		for _, id := range slices.Sorted(maps.Keys(s.held)) {
			if e := s.held[id]; e.Kind == kind && has(e) {
				found = append(found, e)
			}
		}
		return nil
	})
	return func(yield func(kong.Entity, error) bool) {
		if err != nil {
			yield(kong.Entity{}, err)
			return
		}
		for _, e := range found {
			if !yield(e, nil) {
				return
			}
		}
	}
}
