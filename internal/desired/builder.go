package desired

import (
	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// builder collects the entities of one owner.
type builder struct {
	scope    Scope
	policy   Policy
	owner    Owner
	tags     []v1alpha1.Tag
	entities []kong.Entity
}

func (b *builder) add(kind kong.Kind, id, consumerID, part string, fields kong.Fields, more ...string) {
	own := make([]string, 0, len(b.tags))
	for _, tag := range b.tags {
		own = append(own, string(tag))
	}
	fields["tags"] = b.scope.Tags(b.owner, part, append(own, more...)...)
	b.entities = append(b.entities, kong.Entity{Kind: kind, ID: id, ConsumerID: consumerID, Fields: fields})
}

// addPlugin adds a plugin; its fields already say what it is on.
func (b *builder) addPlugin(part string, fields kong.Fields) {
	b.add(kong.KindPlugin, b.scope.ID(kong.KindPlugin, b.owner, part), "", part, fields)
}

func (b *builder) checkTags() error {
	for i, tag := range b.tags {
		if err := b.policy.checkVaultReferences(path("spec.tags[%d]", i), string(tag)); err != nil {
			return err
		}
	}
	return nil
}

// pluginPart is the part of a plugin of the spec; those with fields of their own have their Kong name for a part.
func pluginPart(name string) string { return "plugin:" + name }
