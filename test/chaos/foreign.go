package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// anotherInstallation's entities carry every other tag of ours.
const anotherInstallation = "kongjwt-installation:another"

// owns says whether an entity is of the site's KongGateway.
func (s *site) owns(e entity) bool {
	return e.tagged("kongjwt-gateway:"+s.gateway) && !e.tagged(anotherInstallation)
}

// plant makes what is not ours, where there is a database for it: by hand, and by another installation.
func (s *site) plant(ctx context.Context) (err error) {
	n := s.nodes[0]
	for i := range 10 {
		if !s.database {
			break // a configuration is ours as a whole
		}
		tags := []string{"by-hand"}
		if i%2 == 0 {
			owner := s.namesake(i)
			tags = []string{"kongjwt", anotherInstallation, "kongjwt-gateway:" + s.gateway, "kongjwt-owner:" + owner, "kongjwt-part:consumer"}
		}
		name := fmt.Sprintf("foreign-%d", i)
		for path, fields := range map[string]map[string]any{
			"/consumers": {"username": name, "tags": tags},
			"/services":  {"name": name, "host": name + ".example.com", "tags": tags},
		} {
			if err := n.ask(ctx, http.MethodPost, path, fields, nil); err != nil {
				return err
			}
		}
	}
	s.foreign, err = s.others(ctx, n)
	return err
}

// namesake is an owner that a resource of this run may be too: another installation, on another cluster, may have the
// same names.
func (s *site) namesake(i int) string {
	return fmt.Sprintf("JwtConsumer:%s:consumer-0-%02d", namespaceOf(i), i)
}

// uproot deletes what plant made, and what a run that failed left: a real Kong goes on living.
func (s *site) uproot(ctx context.Context) error {
	n := s.nodes[0]
	if !s.database {
		return n.ask(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"}, nil)
	}
	for _, kind := range []string{"routes", "plugins", "services", "consumers"} {
		entities, err := n.entities(ctx, kind)
		if err != nil {
			return err
		}
		for _, e := range entities {
			planted := strings.HasPrefix(e.text("name")+e.text("username"), "foreign-")
			if !planted && !s.owns(e) {
				continue
			}
			if err := n.ask(ctx, http.MethodDelete, "/"+kind+"/"+e.text("id"), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// others gives all that is not ours, as Kong shows it.
func (s *site) others(ctx context.Context, n *node) (map[string]string, error) {
	all := map[string]string{}
	for _, kind := range collections {
		entities, err := n.entities(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, e := range entities {
			if s.owns(e) {
				continue
			}
			content, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			all[kind+"/"+e.text("id")] = string(content)
		}
	}
	return all, nil
}

func (s *site) untouched(ctx context.Context, n *node) error {
	now, err := s.others(ctx, n)
	if err != nil {
		return err
	}
	if !maps.Equal(now, s.foreign) {
		return fmt.Errorf("what is not ours was touched: %d entities were there, %d are, or their content differs", len(s.foreign), len(now))
	}
	return nil
}
