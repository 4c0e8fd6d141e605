package consumer

import (
	"cmp"
	"context"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/jwks"
)

// keepReplaced keeps the record of sets whose keys serve on until the spec's new source has something: a spec that
// goes back meanwhile finds which there were. What their issuer has withdrawn does not serve on.
func (r *keySets) keepReplaced() {
	for name, kept := range r.kept.ByName {
		if _, followed := r.next.ByName[name]; followed || !r.hasCredential(name) || len(r.serving(name, nil)) == 0 {
			continue
		}
		kept.Held = slices.DeleteFunc(slices.Clone(kept.Held), jwks.Held.Leaving)
		r.next.ByName[name] = kept
		r.replaced = append(r.replaced, name)
	}
}

// forgetReplaced drops the record of what keepReplaced kept, once none of its keys is in Kong. It is the last write of
// rotate: only after a Sync is it known that they have left. A crash before it leaves a record of keys that are gone,
// which the next reconcile drops.
func (r *keySets) forgetReplaced(ctx context.Context) error {
	gone := slices.DeleteFunc(r.replaced, func(name string) bool { return len(r.serving(name, nil)) > 0 })
	if len(gone) == 0 {
		return nil
	}
	for _, name := range gone {
		delete(r.next.ByName, name)
	}
	return r.write(ctx)
}

// serving lists the keys in Kong, by id, of the issuer that a credential followed before, or follows and cannot know
// now: those that the issuer had last, and that nothing else of the consumer has by now. wanted are keys that the
// consumer is about to have from another source; nil: none. Without a record, as after the Secret was lost, all keys
// of the issuer in Kong serve on.
func (r *keySets) serving(name string, wanted map[string]bool) []string {
	kept, recorded := r.kept.ByName[name]
	from, follows := cmp.Or(kept.Part, name), slices.Contains(r.followed(), name)
	if !follows && r.has(from) {
		return nil // they are another credential's, which has another name now
	}
	had := map[string]bool{}
	for _, held := range kept.Held {
		had[desired.KeySetPart(from, held.ID)] = follows || !held.Leaving()
	}
	taken := map[string]bool{}
	for key := range wanted {
		taken[desired.KeySetPart(from, key)] = true
	}
	return r.gateway.Engine.CredentialIDs(r.owner(), func(part string) bool {
		of, found := desired.CredentialOf(part)
		_, isSlot := desired.CredentialSlot(part)
		return found && !isSlot && of == from && !taken[part] && (had[part] || !recorded)
	})
}
