package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ledger remembers what a scenario has made on a gateway, so that this and nothing else is deleted afterwards.
type ledger struct{ entries []entry }

type entry struct{ collection, id string }

// collections are the Admin API's, children before parents: the order in which a gateway lets go of them.
var collections = []string{"plugins", "routes", "services", "acls", "jwts", "consumers"}

// uniqueFields name an entity, beside its id.
var uniqueFields = []string{"username", "custom_id", "name", "key", "instance_name"}

// note looks at an answer for an entity that is new.
func (l *ledger) note(q request, status int, body []byte) {
	if q.Target != "admin" || q.Method != http.MethodPost && q.Method != http.MethodPut || status != http.StatusOK && status != http.StatusCreated {
		return
	}
	collection := collectionOf(q.Path)
	var answer struct {
		ID string `json:"id"`
	}
	if collection == "" || json.Unmarshal(body, &answer) != nil || answer.ID == "" {
		return
	}
	if made := (entry{collection, answer.ID}); !slices.Contains(l.entries, made) {
		l.entries = append(l.entries, made)
	}
}

// collectionOf is the collection that a path writes to, or nothing.
func collectionOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	name := parts[(len(parts)-1)/2*2]
	if name == "jwt" {
		name = "jwts"
	}
	if !slices.Contains(collections, name) {
		return ""
	}
	return name
}

// clean deletes what was made. What went along with its parent, or was deleted by the scenario, is gone already.
func (l *ledger) clean(ctx context.Context, client *http.Client, adminURL string) error {
	var errs []error
	for _, collection := range collections {
		for _, made := range l.entries {
			if made.collection != collection {
				continue
			}
			path := "/" + collection + "/" + made.id
			if err := deleteEntity(ctx, client, adminURL, path); err != nil {
				errs = append(errs, fmt.Errorf("delete %s: %w", path, err))
			}
		}
	}
	return errors.Join(errs...)
}

func deleteEntity(ctx context.Context, client *http.Client, adminURL, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, adminURL+path, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent && answer.StatusCode != http.StatusNotFound {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// taken gives what a scenario would write to and the gateway already holds: replaying would take it over.
func taken(ctx context.Context, client *http.Client, adminURL string, s scenario) ([]string, error) {
	wanted := wantedNames(s)
	var found []string
	for _, collection := range collections {
		err := eachEntity(ctx, client, adminURL, collection, func(entity map[string]any) {
			for _, field := range append([]string{"id"}, uniqueFields...) {
				value, _ := entity[field].(string)
				if collection == "plugins" && field == "name" {
					continue // the name of the plugin, not of this one
				}
				if value != "" && slices.Contains(wanted, field+"="+value) {
					found = append(found, fmt.Sprintf("%s with %s %s", collection, field, value))
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// anything gives what a gateway holds.
func anything(ctx context.Context, client *http.Client, adminURL string, _ scenario) ([]string, error) {
	var found []string
	for _, collection := range collections {
		err := eachEntity(ctx, client, adminURL, collection, func(entity map[string]any) {
			found = append(found, fmt.Sprintf("%s with id %v", collection, entity["id"]))
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// emptyConfiguration makes a gateway without a database empty. One that still loads the configuration before it says
// so, and is asked again.
func emptyConfiguration(ctx context.Context, client *http.Client, adminURL string) error {
	for deadline := time.Now().Add(patience); ; {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, adminURL+"/config", strings.NewReader(`{"_format_version":"3.0"}`))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		switch {
		case answer.StatusCode == http.StatusCreated:
			return nil
		case answer.StatusCode != http.StatusTooManyRequests || time.Now().After(deadline):
			return fmt.Errorf("empty the configuration: answered %s", answer.Status)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// wantedNames are the ids and names that a scenario writes, as field=value.
func wantedNames(s scenario) []string {
	var names []string
	for _, one := range s.Steps {
		if one.Request.Target != "admin" || collectionOf(one.Request.Path) == "" {
			continue
		}
		var fields map[string]any
		_ = json.Unmarshal(one.Response.JSON, &fields) // no object, no names
		for _, field := range append([]string{"id"}, uniqueFields...) {
			if value, ok := fields[field].(string); ok && !strings.ContainsAny(value, "<{") {
				names = append(names, field+"="+value)
			}
		}
	}
	return names
}

func eachEntity(ctx context.Context, client *http.Client, adminURL, collection string, visit func(map[string]any)) error {
	next := "/" + collection + "?size=1000"
	for next != "" {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, adminURL+next, http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		var page struct {
			Data   []map[string]any `json:"data"`
			Offset string           `json:"offset"`
		}
		err = json.NewDecoder(answer.Body).Decode(&page)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("list %s: answered %s: %w", collection, answer.Status, err)
		}
		for _, entity := range page.Data {
			visit(entity)
		}
		next = ""
		if page.Offset != "" {
			next = "/" + collection + "?size=1000&offset=" + url.QueryEscape(page.Offset)
		}
	}
	return nil
}
