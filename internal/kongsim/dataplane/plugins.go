package dataplane

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

// PluginView is a plugin as the plugins iterator knows it.
type PluginView struct {
	ID, Name                       string
	RouteID, ServiceID, ConsumerID string
	Protocols                      []string
	Enabled                        bool
	Condition                      string
	Config                         map[string]any
}

// plugin is one configured plugin, ready to run.
type plugin interface {
	// access sees a request before it goes upstream; a reply ends it there.
	access(x *exchange) *reply
}

// headerFilter is a plugin that also changes the answer to the client, whether
// it comes from the upstream or from another plugin.
type headerFilter interface {
	filter(x *exchange, answer http.Header)
}

// pluginKind is a plugin that the proxy acts on. All others are accepted by
// the Admin API and do nothing to a request.
type pluginKind struct {
	name     string
	priority int // Kong's PRIORITY: greater runs earlier
	compile  func(view *PluginView) (plugin, error)
}

// pluginKinds are in the order in which they run (each kong/plugins/NAME/handler.lua).
var pluginKinds = []pluginKind{
	{"correlation-id", 100001, compileCorrelationID},
	{"cors", 2000, compileConfig[cors]},
	{"jwt", 1450, compileJWT},
	{"ip-restriction", 990, compileIPRestriction},
	{"request-size-limiting", 951, compileConfig[sizeLimit]},
	{"acl", 950, compileACL},
	{"rate-limiting", 910, compileRateLimit},
	{"request-termination", 2, compileConfig[termination]},
	{"post-function", -1000, compilePostFunction},
}

// compileConfig is for plugins whose configuration is all they are made of.
func compileConfig[T any, P interface {
	*T
	plugin
}](view *PluginView) (plugin, error) {
	p := P(new(T))
	if err := decodeConfig(view.Config, p); err != nil {
		return nil, err
	}
	return p, nil
}

func decodeConfig(config map[string]any, into any) error {
	raw, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode a plugin's configuration: %w", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode a plugin's configuration: %w", err)
	}
	return nil
}

// scope is what a plugin is attached to; empty parts mean any.
type scope struct{ route, service, consumer string }

// pluginSet is a worker's plugins. It never changes once built.
type pluginSet struct {
	kinds  []pluginKind
	scoped map[string]map[scope]plugin
}

// newPluginSet compiles the enabled plugins that the proxy acts on. One whose
// configuration cannot be read fails every request, as an error in Lua would.
func newPluginSet(views []*PluginView) *pluginSet {
	s := &pluginSet{scoped: map[string]map[scope]plugin{}}
	for _, kind := range pluginKinds {
		for _, v := range views {
			if v.Name != kind.name || !v.Enabled || !router.ServesHTTP(v.Protocols) {
				continue
			}
			p := compilePlugin(kind, v)
			if s.scoped[kind.name] == nil {
				s.scoped[kind.name] = map[scope]plugin{}
				s.kinds = append(s.kinds, kind)
			}
			s.scoped[kind.name][scope{v.RouteID, v.ServiceID, v.ConsumerID}] = p
		}
	}
	slices.SortStableFunc(s.kinds, func(a, b pluginKind) int { return cmp.Compare(b.priority, a.priority) })
	return s
}

func compilePlugin(kind pluginKind, view *PluginView) plugin {
	p, err := kind.compile(view)
	if err != nil {
		return broken{}
	}
	if view.Condition == "" {
		return p
	}
	condition, err := schema.ParseCondition(view.Condition)
	if err != nil {
		return broken{}
	}
	return &conditionalPlugin{p, condition}
}

// find gives the one plugin of a kind that applies: the most specific, in
// Kong's order (kong/runloop/plugins_iterator.lua, lookup_cfg).
func (s *pluginSet) find(kind string, at scope) plugin {
	candidates := [...]scope{
		at,
		{at.route, "", at.consumer},
		{"", at.service, at.consumer},
		{at.route, at.service, ""},
		{"", "", at.consumer},
		{at.route, "", ""},
		{"", at.service, ""},
		{},
	}
	for _, c := range candidates {
		if p, ok := s.scoped[kind][c]; ok {
			return p
		}
	}
	return nil
}

// run takes a request through the plugins in order. The first reply ends it;
// filters of all plugins that apply are returned in any case, as Kong runs
// them on its own answers too.
func (s *pluginSet) run(x *exchange) (*reply, []headerFilter) {
	var (
		answer  *reply
		filters []headerFilter
	)
	for _, kind := range s.kinds {
		// Looked up one by one: once jwt has run, a consumer's plugins apply.
		p := s.find(kind.name, x.scope())
		if p == nil {
			continue
		}
		if c, ok := p.(*conditionalPlugin); ok {
			if !holds(c.condition, x) {
				continue
			}
			p = c.plugin
		}
		if f, ok := p.(headerFilter); ok {
			filters = append(filters, f)
		}
		if answer == nil {
			answer = p.access(x)
		}
	}
	return answer, filters
}

// broken is a plugin that cannot be run.
type broken struct{}

func (broken) access(x *exchange) *reply { return x.fail(http.StatusInternalServerError, "") }
