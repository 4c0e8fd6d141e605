package kongsim

import (
	"maps"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/jwtplugin"
	"github.com/kongjwt/kong-jwt-operator/internal/router"
)

var _ source = (*store)(nil)

// routing captures routes and services for a router.
func (s *store) routing() func() routing {
	s.mu.RLock()
	defer s.mu.RUnlock()
	routes, services := maps.Clone(s.tables["routes"].rows), maps.Clone(s.tables["services"].rows)
	return func() routing {
		captured := routing{services: map[string]*router.Service{}}
		for _, row := range routes {
			captured.routes = append(captured.routes, decodeRow[routeRow](row).view())
		}
		for id, row := range services {
			captured.services[id] = decodeRow[serviceRow](row).view()
		}
		return captured
	}
}

// plugins captures the plugins for an iterator.
func (s *store) plugins() func() []*pluginView {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows := maps.Clone(s.tables["plugins"].rows)
	return func() []*pluginView {
		views := make([]*pluginView, 0, len(rows))
		for _, row := range rows {
			views = append(views, decodeRow[pluginRow](row).view())
		}
		return views
	}
}

func (s *store) credential(key string) (jwtplugin.Credential, bool) {
	row := s.findBy(kinds["jwt_secrets"], []string{"key"}, object{"key": key})
	if row == nil {
		return jwtplugin.Credential{}, false
	}
	return jwtplugin.Credential{
		ID: idOf(row), Key: key, Algorithm: textOf(row, "algorithm"), Secret: jwtplugin.Secret(textOf(row, "secret")),
		PublicKey: textOf(row, "rsa_public_key"), ConsumerID: refID(row, "consumer"),
	}, true
}

func (s *store) consumer(ref string) (jwtplugin.Consumer, bool) {
	row := s.find(kinds["consumers"], ref)
	if row == nil {
		return jwtplugin.Consumer{}, false
	}
	return jwtplugin.Consumer{ID: idOf(row), Username: textOf(row, "username"), CustomID: textOf(row, "custom_id")}, true
}

func (s *store) groups(consumerID string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
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

// add merges what another row's change means.
func (c *dataChange) add(other dataChange, cascade bool) {
	c.routing = c.routing || other.routing
	c.plugins = c.plugins || other.plugins
	c.consumers = append(c.consumers, other.consumers...)
	if cascade {
		c.cascadeCredentials = append(c.cascadeCredentials, other.credentials...)
		c.cascadeGroups = append(c.cascadeGroups, other.groups...)
		return
	}
	c.credentials = append(c.credentials, other.credentials...)
	c.groups = append(c.groups, other.groups...)
}

// changeOf says what a write means to the data plane.
func changeOf(k *kind, former, row object) (c dataChange) {
	for _, version := range []object{former, row} {
		if version == nil {
			continue
		}
		switch k.name {
		case "services", "routes":
			c.routing = true
		case "plugins":
			c.plugins = true
		case "consumers":
			c.consumers = append(c.consumers, idOf(version))
			if name := textOf(version, "username"); name != "" {
				c.consumers = append(c.consumers, name)
			}
		case "jwt_secrets":
			c.credentials = append(c.credentials, textOf(version, "key"))
		case "acls":
			c.groups = append(c.groups, refID(version, "consumer"))
		}
	}
	return c
}
