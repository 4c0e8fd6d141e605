// Package takeover says whether a KongConsumer that somebody else wrote, and its Secrets, can become the objects of a
// resource: only where they say what the resource wants already, so that nothing changes in Kong but tags. Objects
// that were taken over keep their names. With names of the operator's own there would be two consumers with one key
// for a moment, and the ingress controller drops both.
package takeover

import (
	"cmp"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Names are those of objects that are taken over, by what the operator would call them.
type Names map[objects.Reference]string

// Has says whether an object is taken over.
func (n Names) Has(r objects.Reference) bool {
	for would, name := range n {
		if would.Kind == r.Kind && would.Namespace == r.Namespace && name == r.Name {
			return true
		}
	}
	return false
}

// Of are the names of objects that are there.
func Of(o objects.Object, into Names) {
	if o.StandsFor != "" {
		would := o.Reference
		would.Name = o.StandsFor
		into[would] = o.Name
	}
}

// Refusal says what keeps a KongConsumer from being taken over, and what to do about it.
type Refusal struct{ What, Remedy string }

// Consumer is a KongConsumer that is there.
type Consumer struct {
	Name, Username, CustomID string
	// Secrets are those that it names.
	Secrets []Secret
}

// Secret is a Secret that is there: its label says which kind of credential it is.
type Secret struct {
	Name, Kind string
	Data       map[string]string
}

// Match pairs a KongConsumer and the Secrets that it names with the objects that are wanted.
func Match(consumer Consumer, want []objects.Object) (Names, *Refusal) {
	i := slices.IndexFunc(want, func(o objects.Object) bool { return o.Entity == kong.KindConsumer })
	if i < 0 {
		return Names{}, nil
	}
	if text, _ := want[i].Content["username"].(string); text != consumer.Username {
		return nil, &Refusal{"it has another username", "Write that of the KongConsumer into spec"}
	}
	if text, _ := want[i].Content["custom_id"].(string); text != consumer.CustomID {
		return nil, &Refusal{"it has another custom_id", "Write that of the KongConsumer into spec"}
	}
	names := Names{want[i].Reference: consumer.Name}
	for _, secret := range consumer.Secrets {
		j := slices.IndexFunc(want, func(o objects.Object) bool {
			_, taken := names[o.Reference]
			return !taken && secret.Makes(o)
		})
		if j < 0 {
			return nil, &Refusal{
				"its Secret " + secret.Name + " is no credential and no group of this resource",
				"Add it to spec, or take it off the KongConsumer",
			}
		}
		names[want[j].Reference] = secret.Name
	}
	return names, nil
}

// Makes says whether a Secret makes the entity that an object is of, in whatever words.
func (s Secret) Makes(o objects.Object) bool {
	wanted, _ := o.Content["stringData"].(map[string]any)
	text := func(field string) string {
		value, _ := wanted[field].(string)
		return value
	}
	switch {
	case o.Entity == kong.KindACL:
		return s.Kind == "acl" && s.Data["group"] == text("group")
	case o.Entity != kong.KindJWT || s.Kind != "jwt" || s.Data["key"] != text("key") ||
		cmp.Or(s.Data["algorithm"], "HS256") != text("algorithm"): // Kong's default
		return false
	case text("rsa_public_key") == "":
		return s.Data["secret"] == text("secret")
	}
	return keyOf(s.Data["rsa_public_key"]) == keyOf(text("rsa_public_key")) // Kong does not look at the secret
}

// keyOf gives what a public key says, in whatever lines it is written.
func keyOf(text string) string {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return string(block.Bytes)
	}
	return strings.TrimSpace(text)
}
