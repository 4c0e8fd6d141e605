package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// entity is what the Admin API shows of one.
type entity map[string]any

// collections of the Admin API that the operator writes to.
var collections = []string{"consumers", "jwts", "acls", "services", "routes", "plugins"}

// admin asks the Admin API, and gives the answer's status and body.
func admin(ctx context.Context, method, path string, body any) (int, entity, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(env.AdminURL, "/")+path, content)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || len(text) == 0 {
		return response.StatusCode, nil, err
	}
	var answer entity
	if err := json.Unmarshal(text, &answer); err != nil {
		return response.StatusCode, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return response.StatusCode, answer, nil
}

// get reads one entity. An entity that is not there is nil.
func get(ctx context.Context, path string) (entity, error) {
	status, answer, err := admin(ctx, http.MethodGet, path, nil)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %d", path, status)
	}
	return answer, nil
}

// list reads all pages of a collection, narrowed to a tag where one is given.
func list(ctx context.Context, collection, tag string) ([]entity, error) {
	query := url.Values{"size": {"1000"}}
	if tag != "" {
		query.Set("tags", tag)
	}
	var all []entity
	for {
		answer, err := get(ctx, "/"+collection+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		items, ok := answer["data"].([]any)
		if !ok && answer["data"] != nil {
			// An empty list may be written as an empty object.
			return all, nil
		}
		for _, item := range items {
			fields, ok := item.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%s: an item that is no object", collection)
			}
			all = append(all, fields)
		}
		offset, more := answer["offset"].(string)
		if !more {
			return all, nil
		}
		query.Set("offset", offset)
	}
}

// tagged gives the entities of every kind that carry a tag, as "collection/id".
func tagged(ctx context.Context, tag string) (map[string]entity, error) {
	found := map[string]entity{}
	for _, collection := range collections {
		items, err := list(ctx, collection, tag)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			found[fmt.Sprintf("%s/%v", collection, item["id"])] = item
		}
	}
	return found, nil
}

// part gives the entity of a collection that an owner made for a part of its spec, or nil.
func part(ctx context.Context, collection string, owner client.Object, name string) (entity, error) {
	items, err := list(ctx, collection, ownerTag(owner))
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if item.hasTag("kongjwt-part:" + name) {
			return item, nil
		}
	}
	return nil, nil
}

// pluginOf gives an owner's plugin of a Kong name, or nil.
func pluginOf(ctx context.Context, owner client.Object, kongName string) (entity, error) {
	items, err := list(ctx, "plugins", ownerTag(owner))
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if item["name"] == kongName {
			return item, nil
		}
	}
	return nil, nil
}

func (e entity) hasTag(tag string) bool {
	tags, _ := e["tags"].([]any)
	for _, t := range tags {
		if t == tag {
			return true
		}
	}
	return false
}

// at gives what a dotted path leads to, or nil.
func (e entity) at(path string) any {
	var value any = map[string]any(e)
	for _, step := range strings.Split(path, ".") {
		fields, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = fields[step]
	}
	return value
}

// foreign makes an entity as somebody else would, and takes it away after the spec.
func foreign(ctx context.Context, collection string, fields entity) entity {
	GinkgoHelper()
	status, made, err := admin(ctx, http.MethodPost, "/"+collection, fields)
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(http.StatusCreated), "%v", made)
	path := fmt.Sprintf("/%s/%v", collection, made["id"])
	DeferCleanup(func(ctx context.Context) { erase(ctx, path) })
	return made
}

// erase deletes an entity through the Admin API; it may be gone already.
func erase(ctx context.Context, path string) {
	GinkgoHelper()
	status, _, err := admin(ctx, http.MethodDelete, path, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(BeElementOf(http.StatusNoContent, http.StatusNotFound), path)
}

// ownerTag is the tag that says whose an entity is.
func ownerTag(o client.Object) string {
	return fmt.Sprintf("kongjwt-owner:%s:%s:%s", kindOf(o), o.GetNamespace(), o.GetName())
}

func gatewayTag(name string) string { return "kongjwt-gateway:" + name }

func kindOf(o client.Object) string {
	switch o.(type) {
	case *v1alpha1.KongGateway:
		return v1alpha1.KindKongGateway
	case *v1alpha1.JwtConsumer:
		return v1alpha1.KindJwtConsumer
	case *v1alpha1.JwtProtectedService:
		return v1alpha1.KindJwtProtectedService
	case *v1alpha1.JwtToken:
		return v1alpha1.KindJwtToken
	}
	return fmt.Sprintf("%T", o)
}
