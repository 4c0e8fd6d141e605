package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var collections = []string{"consumers", "jwts", "acls", "services", "routes", "plugins"}

// entity is what the Admin API shows of one.
type entity map[string]any

func (e entity) text(field string) string {
	text, _ := e[field].(string)
	return text
}

func (e entity) under(field, name string) string {
	object, _ := e[field].(map[string]any)
	return entity(object).text(name)
}

func (e entity) tagged(tag string) bool {
	tags, _ := e["tags"].([]any)
	return slices.Contains(tags, any(tag))
}

// describe says what of an entity a resource asked for.
func (e entity) describe(kind string) string {
	switch kind {
	case "consumers":
		return "consumer " + e.text("username")
	case "jwts":
		return "credential " + e.text("key") + " of " + e.under("consumer", "id") + " with secret " + fingerprint([]byte(e.text("secret")))
	case "acls":
		return "group " + e.text("group") + " of " + e.under("consumer", "id")
	case "services":
		return "service " + e.text("name")
	case "routes":
		return "route " + e.text("name") + " of " + e.under("service", "id")
	default:
		return "plugin " + e.text("name") + " of " + e.under("service", "id") + " reads " + e.under("config", "key_claim_name")
	}
}

// fingerprint stands for a secret in what is printed.
func fingerprint(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:4])
}

// settled says why a resource is not Ready at its generation.
func settled(object client.Object, observed int64, ready *metav1.Condition) error {
	switch {
	case ready == nil || observed != object.GetGeneration() || !object.GetDeletionTimestamp().IsZero():
		return fmt.Errorf("%s/%s was not looked at", object.GetNamespace(), object.GetName())
	case ready.Status != metav1.ConditionTrue:
		return fmt.Errorf("%s/%s: %s: %s", object.GetNamespace(), object.GetName(), ready.Reason, ready.Message)
	}
	return nil
}

// entities lists a collection whole.
func (n *node) entities(ctx context.Context, kind string) ([]entity, error) {
	var all []entity
	for offset := ""; ; {
		var page struct {
			Data   []entity `json:"data"`
			Offset string   `json:"offset"`
		}
		path := "/" + kind + "?size=1000"
		if offset != "" {
			path += "&offset=" + url.QueryEscape(offset)
		}
		if err := n.ask(ctx, http.MethodGet, path, nil, &page); err != nil {
			return nil, err
		}
		all, offset = append(all, page.Data...), page.Offset
		if offset == "" {
			return all, nil
		}
	}
}

func (n *node) ask(ctx context.Context, method, path string, fields map[string]any, into any) error {
	var body bytes.Buffer
	if fields != nil {
		if err := json.NewEncoder(&body).Encode(fields); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, n.truth+path, &body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // read to its end
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}
