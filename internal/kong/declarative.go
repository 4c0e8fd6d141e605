package kong

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// configTimeout bounds the loading of a whole configuration, which grows with it, where Config.Timeout is shorter.
const configTimeout = 2 * time.Minute

// kindConfig is the whole configuration, as an Observation tells it.
const kindConfig Kind = "config"

// tables are the names of the lists of a declarative configuration (kong/db/declarative), parents before their
// children.
var tables = []struct {
	kind Kind
	name string
}{
	{KindConsumer, "consumers"}, {KindJWT, "jwt_secrets"}, {KindACL, "acls"},
	{KindService, "services"}, {KindRoute, "routes"}, {KindPlugin, "plugins"},
}

// ConfigError says that Kong refuses a configuration for what is in it, and keeps the one that it has.
type ConfigError struct {
	Request
	// Entities has, by the id of each entity that Kong names, its reasons by dotted path; "@entity" is about the
	// whole of it. What could repeat a secret is redacted. It is empty where Kong does not say which entity it is
	// about.
	Entities map[string]map[string]string
}

func (e *ConfigError) Error() string {
	return e.describe(fmt.Sprintf("the configuration is refused for %d of its entities", len(e.Entities)))
}

// ConfigTooLargeError says that a configuration is larger than the Admin API takes.
type ConfigTooLargeError struct {
	Request
	// Bytes is the size of what was sent.
	Bytes int
}

func (e *ConfigTooLargeError) Error() string {
	return e.describe(fmt.Sprintf("the configuration of %d bytes is larger than this Kong takes", e.Bytes))
}

// PostConfig makes a node without a database run these entities and nothing else. All of it is taken, or nothing. The
// error is a *ConfigError, a *ConfigTooLargeError, a *ThrottledError while an earlier configuration is loaded, or as
// any request's.
func (c *Client) PostConfig(ctx context.Context, entities []Entity) error {
	request := call{method: http.MethodPost, kind: kindConfig, template: "/config", path: "/config", query: "flatten_errors=1", slow: true}
	payload, err := json.Marshal(document(entities))
	if err != nil {
		// What encoding/json says names types, and can quote a number.
		return fmt.Errorf("kong: POST /config: a field cannot be written as JSON")
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return c.ended(ctx, request)
	}
	answer, err := c.send(ctx, request, payload)
	if err != nil {
		return err
	}
	switch answer.status {
	case http.StatusRequestEntityTooLarge:
		return &ConfigTooLargeError{Request: request.request(answer.status), Bytes: len(payload)}
	case http.StatusBadRequest:
		return c.judgeConfig(request, answer, entities)
	}
	return c.judge(request, answer.status, answer.header, answer.body, nil)
}

// document is a configuration in the form in which Kong names the entity of every fault: flat lists, and references
// that are the id alone.
func document(entities []Entity) map[string]any {
	out := map[string]any{"_format_version": "3.0"}
	for _, table := range tables {
		var rows []any
		for _, e := range entities {
			if e.Kind == table.kind {
				rows = append(rows, row(e))
			}
		}
		if len(rows) > 0 {
			out[table.name] = rows
		}
	}
	return out
}

func row(e Entity) map[string]any {
	out := map[string]any{}
	for name, value := range e.Fields {
		if value != nil {
			out[name] = plain(value)
		}
	}
	for _, name := range []string{"service", "route", "consumer"} {
		if id := e.Fields.Ref(name); id != "" {
			out[name] = id
		}
	}
	if e.Kind.underConsumer() {
		out["consumer"] = e.ConsumerID
	}
	out["id"] = e.ID
	return out
}

// judgeConfig reads the flattened errors of a refusal. A body that has none is a refusal without names.
func (c *Client) judgeConfig(request call, answer answer, sent []Entity) error {
	refused := &ConfigError{Request: request.request(answer.status), Entities: map[string]map[string]string{}}
	var body struct {
		Code      int             `json:"code"`
		Flattened json.RawMessage `json:"flattened_errors"`
	}
	if json.Unmarshal(answer.body, &body) != nil || body.Code != CodeDeclarativeConfig {
		return c.judge(request, answer.status, answer.header, answer.body, nil)
	}
	var flattened []struct {
		ID     string `json:"entity_id"`
		Errors []struct {
			Field    string          `json:"field"`
			Message  string          `json:"message"`
			Messages json.RawMessage `json:"messages"`
		} `json:"errors"`
	}
	// Lua's empty table is an object.
	if json.Unmarshal(body.Flattened, &flattened) != nil {
		return refused
	}
	for _, fault := range flattened {
		i := slices.IndexFunc(sent, func(e Entity) bool { return e.ID == fault.ID })
		if i < 0 {
			continue
		}
		scrub := newScrubber(sent[i].Kind, sent[i].Fields, string(c.token))
		reasons := map[string]string{}
		for _, e := range fault.Errors {
			field, text := e.Field, e.Message
			if field == "" {
				field = "@entity"
			}
			var list []string
			if text == "" && json.Unmarshal(e.Messages, &list) == nil {
				text = strings.Join(list, "; ")
			}
			reasons[scrub.path(field)] = scrub.reason(field, text)
		}
		refused.Entities[fault.ID] = reasons
	}
	return refused
}
