package kicsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Admit is the controller's validating webhook: why an object is refused, or nothing. exists says whether it is there.
func (c *Controller) Admit(ctx context.Context, o *Object, exists bool) (refused string, err error) {
	objects, err := c.store.List(ctx)
	if err != nil {
		return "", err
	}
	wrong := ""
	switch o.GetKind() {
	case "KongConsumer":
		if !exists {
			wrong, err = c.admitConsumer(ctx, newSnapshot(objects, c.options), o)
		}
	case "Secret":
		wrong = admitSecret(o)
	case "KongPlugin", "KongClusterPlugin":
		wrong, err = c.admitPlugin(ctx, o)
	}
	if wrong == "" || err != nil {
		return "", err
	}
	return fmt.Sprintf("admission webhook %q denied the request: %s",
		strings.ToLower(o.GetKind())+"s.validation.ingress-controller.konghq.com", wrong), nil
}

// admitConsumer looks at a KongConsumer that is created; an update passes.
func (c *Controller) admitConsumer(ctx context.Context, seen snapshot, o *Object) (string, error) {
	for _, name := range textsAt(o.Object, "credentials") {
		if seen.get("Secret", o.GetNamespace(), name) == nil {
			return fmt.Sprintf("consumer referenced non-existent credentials secret: Secret %q not found", name), nil
		}
	}
	held := map[string]bool{}
	for _, other := range seen.of("KongConsumer") {
		for _, secret := range seen.credentials(other) {
			held[secretData(secret)["key"]] = true
		}
	}
	for _, secret := range seen.credentials(o) {
		if secret.GetLabels()[labelCredential] == "jwt" && held[secretData(secret)["key"]] {
			return "consumer credential failed validation: unique key constraint violated for key", nil
		}
	}
	status, _, err := c.ask(ctx, http.MethodGet, "/consumers/"+url.PathEscape(textAt(o.Object, "username")), "")
	if status == http.StatusOK {
		return "consumer already exists", nil
	}
	return "", err
}

// credentialTypes that the controller knows.
var credentialTypes = []string{"jwt", "acl", "key-auth", "basic-auth", "hmac-auth", "oauth2", "mtls-auth"}

func admitSecret(o *Object) string {
	kind, isCredential := o.GetLabels()[labelCredential]
	if !isCredential {
		return ""
	}
	if !slices.Contains(credentialTypes, kind) {
		return "consumer credential failed validation: invalid credential type " + kind
	}
	if kind != "jwt" {
		return ""
	}
	data := secretData(o)
	required := []string{"algorithm", "key", "secret"}
	if !strings.HasPrefix(data["algorithm"], "HS") {
		required = []string{"algorithm", "key", "rsa_public_key"}
	}
	required = slices.DeleteFunc(required, func(name string) bool { return data[name] != "" })
	if len(required) == 0 {
		return ""
	}
	return "consumer credential failed validation: missing required field(s): " + strings.Join(required, ", ")
}

// admitPlugin asks Kong.
func (c *Controller) admitPlugin(ctx context.Context, o *Object) (string, error) {
	config := mapAt(o.Object, "config")
	if config == nil {
		config = fields{}
	}
	status, body, err := c.ask(ctx, http.MethodPost, "/schemas/plugins/validate",
		encode(fields{"name": textAt(o.Object, "plugin"), "config": config}))
	if err != nil || status < http.StatusBadRequest {
		return "", err
	}
	var answer struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	return "plugin failed schema validation: " + answer.Message, nil
}
