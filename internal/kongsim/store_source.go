package kongsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

var _ dataplane.Source = (*store)(nil)

// rlock locks for reading what the database holds now, whoever wrote it.
func (s *store) rlock() (unlock func()) {
	s.mu.RLock()
	if s.journal == nil || !s.journal.Grown() {
		return s.mu.RUnlock
	}
	s.mu.RUnlock()
	s.catchUp()
	s.mu.RLock()
	return s.mu.RUnlock
}

// find gives the row that an id, or the kind's lookup field, names.
func (s *store) find(k *kind, name string) object {
	defer s.rlock()()
	if schema.IsUUID(name) {
		return s.tables[k.name].rows[strings.ToLower(name)]
	}
	if k.lookup == "" {
		return nil
	}
	return s.findUnique(k, []string{k.lookup}, object{k.lookup: name})
}

// findBy gives the row that holds a unique combination of values.
func (s *store) findBy(k *kind, fields []string, values object) object {
	defer s.rlock()()
	return s.findUnique(k, fields, values)
}

func (s *store) findUnique(k *kind, fields []string, values object) object {
	key := uniqueKey(k, fields, values)
	if key == "" {
		return nil
	}
	return s.tables[k.name].rows[s.unique[key]]
}

// page lists rows by id: those after an id that keep takes, size at most; more says that there are others.
func (s *store) page(k *kind, within object, after string, size int, keep func(object) bool) (rows []object, more bool) {
	defer s.rlock()()
	t := s.tables[k.name]
	ids := t.order
	for name := range within {
		ids = slices.Sorted(maps.Keys(t.children[name][refID(within, name)]))
	}
	start, found := slices.BinarySearch(ids, after)
	if found {
		start++
	}
	for _, id := range ids[start:] {
		row := t.rows[id]
		if keep != nil && !keep(row) {
			continue
		}
		if len(rows) == size {
			return rows, true
		}
		rows = append(rows, row)
	}
	return rows, false
}

// all lists rows by id.
func (s *store) all(k *kind) []object {
	rows, _ := s.page(k, nil, "", math.MaxInt, nil)
	return rows
}

// Routing captures routes and services for a router.
func (s *store) Routing() func() dataplane.Routing {
	defer s.rlock()()
	routes, services := maps.Clone(s.tables["routes"].rows), maps.Clone(s.tables["services"].rows)
	return func() dataplane.Routing {
		captured := dataplane.Routing{Services: map[string]*router.Service{}}
		for _, row := range routes {
			captured.Routes = append(captured.Routes, decodeRow[routeRow](row).view())
		}
		for id, row := range services {
			captured.Services[id] = decodeRow[serviceRow](row).view()
		}
		return captured
	}
}

// Plugins captures the plugins for an iterator.
func (s *store) Plugins() func() []*dataplane.PluginView {
	defer s.rlock()()
	rows := maps.Clone(s.tables["plugins"].rows)
	return func() []*dataplane.PluginView {
		views := make([]*dataplane.PluginView, 0, len(rows))
		for _, row := range rows {
			views = append(views, decodeRow[pluginRow](row).view())
		}
		return views
	}
}

func (s *store) Credential(key string) (jwtplugin.Credential, bool) {
	row := s.findBy(kinds["jwt_secrets"], []string{"key"}, object{"key": key})
	if row == nil {
		return jwtplugin.Credential{}, false
	}
	return jwtplugin.Credential{
		ID: idOf(row), Key: key, Algorithm: textOf(row, "algorithm"), Secret: jwtplugin.Secret(textOf(row, "secret")),
		PublicKey: textOf(row, "rsa_public_key"), ConsumerID: refID(row, "consumer"),
	}, true
}

func (s *store) Consumer(ref string) (jwtplugin.Consumer, bool) {
	row := s.find(kinds["consumers"], ref)
	if row == nil {
		return jwtplugin.Consumer{}, false
	}
	return jwtplugin.Consumer{ID: idOf(row), Username: textOf(row, "username"), CustomID: textOf(row, "custom_id")}, true
}

func (s *store) Groups(consumerID string) []string {
	defer s.rlock()()
	acls := s.tables["acls"]
	groups := []string{}
	for _, id := range slices.Sorted(maps.Keys(acls.children["consumer"][consumerID])) {
		groups = append(groups, textOf(acls.rows[id], "group"))
	}
	return groups
}

func textOf(row object, name string) string { text, _ := row[name].(string); return text }

// decodeRow reads a row that has passed validation.
func decodeRow[T any](row object) T {
	var typed T
	if err := readRow(row, &typed); err != nil {
		panic(err) // the schema lets nothing through that does not decode
	}
	return typed
}

// addChange merges what another row's change means.
func addChange(c *dataplane.Change, other dataplane.Change, cascade bool) {
	c.Routing = c.Routing || other.Routing
	c.Plugins = c.Plugins || other.Plugins
	c.Consumers = append(c.Consumers, other.Consumers...)
	if cascade {
		c.CascadeCredentials = append(c.CascadeCredentials, other.Credentials...)
		c.CascadeGroups = append(c.CascadeGroups, other.Groups...)
		return
	}
	c.Credentials = append(c.Credentials, other.Credentials...)
	c.Groups = append(c.Groups, other.Groups...)
}

// changeOf says what a write means to the data plane.
func changeOf(k *kind, former, row object) (c dataplane.Change) {
	for _, version := range []object{former, row} {
		if version == nil {
			continue
		}
		switch k.name {
		case "services", "routes":
			c.Routing = true
		case "plugins":
			c.Plugins = true
		case "consumers":
			c.Consumers = append(c.Consumers, idOf(version))
			if name := textOf(version, "username"); name != "" {
				c.Consumers = append(c.Consumers, name)
			}
		case "jwt_secrets":
			c.Credentials = append(c.Credentials, textOf(version, "key"))
		case "acls":
			c.Groups = append(c.Groups, refID(version, "consumer"))
		}
	}
	return c
}

// Rows are entities in the Admin API's form, as far as the proxy reads them.

type rowRef struct {
	ID string `json:"id"`
}

func (r *rowRef) id() string {
	if r == nil {
		return ""
	}
	return r.ID
}

type routeRow struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	Service        *rowRef             `json:"service"`
	Protocols      []string            `json:"protocols"`
	Methods        []string            `json:"methods"`
	Hosts          []string            `json:"hosts"`
	Paths          []string            `json:"paths"`
	Headers        map[string][]string `json:"headers"`
	SNIs           []string            `json:"snis"`
	RegexPriority  uint32              `json:"regex_priority"`
	StripPath      bool                `json:"strip_path"`
	PreserveHost   bool                `json:"preserve_host"`
	RedirectStatus int                 `json:"https_redirect_status_code"`
}

type serviceRow struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	Protocol       string `json:"protocol"`
	Host           string `json:"host"`
	Port           int    `json:"port"`
	Path           string `json:"path"`
	Enabled        bool   `json:"enabled"`
	ConnectTimeout int    `json:"connect_timeout"`
	ReadTimeout    int    `json:"read_timeout"`
	TLSVerify      bool   `json:"tls_verify"`
}

type pluginRow struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Route     *rowRef        `json:"route"`
	Service   *rowRef        `json:"service"`
	Consumer  *rowRef        `json:"consumer"`
	Protocols []string       `json:"protocols"`
	Enabled   bool           `json:"enabled"`
	Condition string         `json:"condition"`
	Config    map[string]any `json:"config"`
}

// readRow turns an entity of the Admin API into a row.
func readRow(entity, row any) error {
	raw, err := json.Marshal(entity)
	if err != nil {
		return fmt.Errorf("encode an entity: %w", err)
	}
	if err := json.Unmarshal(raw, row); err != nil {
		return fmt.Errorf("decode an entity: %w", err)
	}
	return nil
}

func (r routeRow) view() *router.Route {
	return &router.Route{
		ID: r.ID, Name: r.Name, ServiceID: r.Service.id(), Protocols: r.Protocols, Methods: r.Methods,
		Hosts: r.Hosts, Paths: r.Paths, Headers: r.Headers, SNIs: r.SNIs, RegexPriority: r.RegexPriority,
		StripPath: r.StripPath, PreserveHost: r.PreserveHost, RedirectStatus: r.RedirectStatus,
	}
}

func (r serviceRow) view() *router.Service {
	return &router.Service{
		ID: r.ID, Name: r.Name, Protocol: r.Protocol, Host: r.Host, Port: r.Port, Path: r.Path,
		Enabled: r.Enabled, ConnectTimeout: r.ConnectTimeout, ReadTimeout: r.ReadTimeout, TLSVerify: r.TLSVerify,
	}
}

func (r pluginRow) view() *dataplane.PluginView {
	return &dataplane.PluginView{
		ID: r.ID, Name: r.Name, RouteID: r.Route.id(), ServiceID: r.Service.id(), ConsumerID: r.Consumer.id(),
		Protocols: r.Protocols, Enabled: r.Enabled, Condition: r.Condition, Config: r.Config,
	}
}
