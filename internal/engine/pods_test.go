package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/backend"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// pod is what of a node of a model is of one without a database.
type pod struct {
	// address is empty where there is a database.
	address string
	unready bool
	// lost says that the node was not given yet what it should run, and that the operator need not know.
	lost bool
}

// kindConfig stands for a whole configuration.
const kindConfig kong.Kind = "config"

func (p *pod) declarative() bool { return p.address != "" }

// makeNodes makes a Kong with a database, or the two pods of one without.
func (w *world) makeNodes(declarative bool) {
	common := &modelNodes{
		delay: propagates, note: w.say, kept: map[string]desired.Owner{}, specs: map[desired.Owner][]desired.Set{},
		guards: map[desired.Owner]func(string) []kong.Entity{}, retained: map[desired.Owner]bool{}, changed: map[string]bool{},
	}
	w.nodes = []*modelKong{newModelKong(common)}
	w.kong, w.front = w.nodes[0], w.nodes[0]
	if !declarative {
		stranger := kong.Fields{"marker": "foreign", "username": "stranger"}
		_ = w.kong.put(kong.Entity{Kind: kong.KindConsumer, ID: strangerID, Fields: stranger}, true) // it is the first
		return
	}
	common.delay, w.reports, w.adopts = 0, false, false // neither can be had
	w.nodes = append(w.nodes, newModelKong(common))
	w.front = newModelKong(common)
	w.front.address = "front"
	for i, node := range w.nodes {
		node.address = fmt.Sprintf("pod-%d", i)
	}
}

// at is the node at an address. That of the gateway is a Service's.
func (w *world) at(url string) *modelKong {
	for _, node := range w.nodes {
		if node.address == strings.TrimPrefix(url, "//") {
			return node
		}
	}
	return w.front
}

// namePods tells the operator which pods there are.
func (w *world) namePods() {
	if !w.kong.declarative() {
		return
	}
	var named []Node
	for _, node := range w.nodes {
		named = append(named, Node{Address: node.address, Ready: !node.unready})
	}
	if err := w.gateway.SetNodes(named); err != nil {
		w.Fatal(err)
	}
}

func (w *world) drawNode() *modelKong {
	return w.nodes[rapid.IntRange(0, len(w.nodes)-1).Draw(w.T, "node")]
}

// drawAway has a node answer no more, or again.
func (w *world) drawAway() {
	node := w.drawNode()
	if rapid.IntRange(0, 3).Draw(w.T, "front") == 0 {
		node = w.front
	}
	node.away.Store(!node.away.Load())
	w.kong.mu.Lock()
	node.lost = node.lost || node.unready // nobody waits for it
	w.kong.mu.Unlock()
	w.say("away: %s %v", node.address, node.away.Load())
}

// drawPod has a pod start again, go, or not be ready for a time.
func (w *world) drawPod() {
	node := w.drawNode()
	if !node.declarative() {
		return
	}
	what := rapid.SampledFrom([]string{"starts again", "is replaced", "is ready or not"}).Draw(w.T, "pod")
	w.say("pod %s %s", node.address, what)
	w.kong.mu.Lock()
	node.lost = true
	switch what {
	case "starts again":
		clear(node.held)
	case "is replaced":
		if node != w.kong {
			w.others++
			next := newModelKong(node.modelNodes)
			next.address, next.lost = fmt.Sprintf("pod-%d", 1+w.others), true
			node.away.Store(true)
			w.nodes[1] = next
		}
	default:
		node.unready = !node.unready
		node.away.Store(node.unready)
	}
	lives := func(n *modelKong) bool { return !n.lost }
	w.kong.wiped = w.kong.wiped || !slices.ContainsFunc(w.nodes, lives)
	w.kong.mu.Unlock()
	w.namePods()
}

// drawSlow has a configuration take its time, or its answer.
func (w *world) drawSlow() (before, after func()) {
	wait := func() { time.Sleep(3 * time.Second) }
	if rapid.Bool().Draw(w.T, "after") {
		return nil, wait
	}
	return wait, nil
}

// drawRefusal draws how Kong refuses a configuration: for something of a kind, which it names or does not name.
func (w *world) drawRefusal(kind kong.Kind) error {
	return rapid.SampledFrom([]error{
		&kong.InvalidError{Code: kong.CodeDeclarativeConfig}, &kong.ConfigTooLargeError{},
		&kong.ConfigError{Entities: map[string]map[string]string{string(kind): {"name": "is wrong"}}},
	}).Draw(w.T, "refusal")
}

// A node that differs has all listed, which fails meanwhile for another reason: that is no cause to ask without a
// pause.
func TestWhatFailsIsNotAskedForWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{bubble: t}
		w.makeNodes(true)
		w.start()
		defer w.close()
		set := desired.Set{Owner: desired.ConsumerOwner("team", "john")}
		wanted(w.gateway.Scope(), &set, kong.KindConsumer, "consumer", "", "", kong.Fields{"username": "john"})
		for range 2 {
			if _, err := w.gateway.Sync(t.Context(), set, SyncOptions{}); err != nil {
				time.Sleep(pushAgain)
			}
		}
		w.front.away.Store(true)
		w.nodes[1].mu.Lock()
		clear(w.nodes[1].held)
		w.nodes[1].mu.Unlock()
		time.Sleep(time.Minute)
		w.front.away.Store(false)
		time.Sleep(time.Minute)
		held := len(w.nodes[1].all())
		w.kong.mu.Lock()
		broken := slices.Clone(w.kong.broken)
		w.kong.mu.Unlock()
		if len(broken) > 0 || held == 0 {
			t.Errorf("%v; the node holds %d entities", broken, held)
		}
	})
}

// isRefusal says whether an answer is Kong's word on a configuration.
func isRefusal(err error) bool {
	var refused *kong.ConfigError
	var large *kong.ConfigTooLargeError
	var invalid *kong.InvalidError
	return errors.As(err, &refused) || errors.As(err, &large) || errors.As(err, &invalid)
}

// tidyPods has all pods ready, without what is not the operator's. What deleted resources left ends with the
// processes that carry it along.
func (w *world) tidyPods() {
	if !w.kong.declarative() {
		return
	}
	retained := w.carriesAlong()
	w.kong.mu.Lock()
	for _, node := range w.nodes {
		node.unready = false
		for id, e := range node.held {
			if len(e.Fields.Tags()) == 0 {
				w.excuse(e)
				delete(node.held, id)
			}
		}
	}
	if retained {
		for _, node := range w.nodes {
			node.lost = true
			clear(node.held)
		}
	}
	w.kong.mu.Unlock()
	w.namePods()
	if retained {
		w.start()
	}
}

// tagRetained marks what deleted resources left.
const tagRetained = desired.TagManaged + "-retained"

// carriesAlong says whether the operator has, or a node holds, what a deleted resource left.
func (w *world) carriesAlong() bool {
	var all []kong.Entity
	for _, node := range w.nodes {
		all = slices.AppendSeq(all, maps.Values(node.all()))
	}
	if current := w.gateway.link.current(); current != nil {
		for _, kind := range backend.Kinds {
			for e := range current.List(w.bubble.Context(), kind, kong.ListOptions{}) {
				all = append(all, e)
			}
		}
	}
	return slices.ContainsFunc(all, func(e kong.Entity) bool { return slices.Contains(e.Fields.Tags(), tagRetained) })
}

// all is what a node holds.
func (m *modelKong) all() map[string]kong.Entity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.held)
}

// hash is Kong's name of what a node holds.
func (m *modelKong) hash() string {
	text := "hash"
	for _, id := range slices.Sorted(maps.Keys(m.held)) {
		text += fmt.Sprint(m.held[id])
	}
	return text
}

// PostConfig gives a node a configuration: one node after the other, so that a check can be done again.
func (s *session) PostConfig(ctx context.Context, entities []kong.Entity) error {
	if s.address != "pod-0" {
		time.Sleep(time.Millisecond)
	}
	err := s.request(ctx, http.MethodPost, kindConfig, func() error {
		s.writes.Add(1)
		return s.load(entities)
	}, s.address, len(entities))
	var refused *kong.ConfigError
	if !errors.As(err, &refused) {
		return err
	}
	s.mu.Lock()
	s.wiped = true // what Kong takes no more goes, though clients have it
	s.mu.Unlock()
	named := map[string]map[string]string{}
	for _, e := range entities {
		for about, why := range refused.Entities {
			_, ours := desired.ParseTags(e.Fields.Tags())
			if e.ID == about || string(e.Kind) == about && len(named) == 0 && ours {
				named[e.ID] = why
			}
		}
	}
	return &kong.ConfigError{Entities: named}
}

// load replaces what a node holds, or says what Kong refuses.
func (m *modelKong) load(entities []kong.Entity) error {
	next := newModelKong(m.modelNodes)
	for _, kind := range backend.Kinds {
		for _, e := range entities {
			if e.Kind != kind {
				continue
			}
			if err := next.put(e, true); err != nil {
				return &kong.ConfigError{Entities: map[string]map[string]string{e.ID: {"name": "is declared twice, or on nothing"}}}
			}
		}
	}
	m.promisesOf(next.held)
	for id, e := range next.held {
		if former, was := m.held[id]; was && isSame(e, former) {
			next.since[id] = m.since[id]
		}
	}
	m.held, m.since, m.lost = next.held, next.since, false
	return nil
}

// promisesOf holds that no configuration has a route without what protects it, and that what is to stay does.
func (m *modelKong) promisesOf(next map[string]kong.Entity) {
	for id, e := range m.held {
		_, kept := m.kept[id]
		toStay := kept || slices.Contains(e.Fields.Tags(), tagRetained)
		// What was pushed a moment ago, and not answered, is pushed again by parts.
		settled := time.Since(m.since[id]) > time.Minute
		if _, stays := next[id]; !stays && toStay && settled && !m.lost {
			m.broken = append(m.broken, fmt.Sprintf("%s %s goes, which is to be retained", e.Kind, id))
		}
	}
	guarded := map[string]bool{}
	for _, e := range next {
		if e.Kind == kong.KindPlugin && e.Fields.Text("name") == "jwt" {
			guarded[e.Fields.Ref("service")] = true
		}
	}
	for id, e := range next {
		service := e.Fields.Ref("service")
		if e.Kind != kong.KindRoute {
			continue
		}
		if !guarded[service] && !m.changed[service] {
			m.broken = append(m.broken, fmt.Sprintf("route %s is open without a jwt plugin", e.Fields.Text("name")))
		}
		before, was := m.held[id]
		if was && before.Fields.Ref("service") == service || m.changed[service] || m.lost {
			continue
		}
		of, _ := desired.ParseTags(e.Fields.Tags())
		if !slices.ContainsFunc(m.specs[of.Owner], func(s desired.Set) bool { return protects(next, s, e) }) {
			m.broken = append(m.broken, fmt.Sprintf("route %s opens, and its plugins are not those of any spec", e.Fields.Text("name")))
		}
	}
}

// pending says whether anything of an owner waits for a push.
func (w *world) pending(owner desired.Owner) bool {
	current := w.gateway.link.current()
	return current != nil && current.Pending(owner)
}

// protects says whether a spec has a route, and a configuration all plugins that it has for the route's service.
func protects(next map[string]kong.Entity, spec desired.Set, route kong.Entity) bool {
	has := false
	for _, e := range spec.Entities {
		has = has || e.ID == route.ID && isSame(e, route)
		guards := e.Kind == kong.KindPlugin && e.Fields.Ref("service") == route.Fields.Ref("service")
		if held, there := next[e.ID]; guards && (!there || !isSame(held, e)) {
			return false
		}
	}
	return has
}

// leaving is what gives access and is to go with the next configuration, by id.
type leaving struct {
	ids      []string
	hindered int64
}

func (l *leaving) with(ids []string, hindered int64) {
	if len(l.ids) == 0 {
		l.hindered = hindered
	}
	l.ids = append(l.ids, ids...)
}

// hasLeft holds that what was to go is gone, once nothing of its owner is on its way, whatever else is wrong.
func (w *world) hasLeft(a *actor) {
	if len(a.leaving.ids) == 0 || w.pending(a.owner) {
		return
	}
	ids := a.leaving.ids
	undisturbed := w.kong.hindered.Load() == a.leaving.hindered && w.gateway.State().Ready
	a.leaving = leaving{}
	for _, node := range w.nodes {
		held := node.all()
		for _, id := range ids {
			wanted := slices.ContainsFunc(a.wants.Entities, func(e kong.Entity) bool { return e.ID == id })
			if _, there := held[id]; there && undisturbed && !node.lost && !wanted {
				w.Fatalf("%s of %s is in Kong, and was to go\n%s", id, a.owner.Name, join(w.story))
			}
		}
	}
}
