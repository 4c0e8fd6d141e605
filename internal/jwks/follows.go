package jwks

import (
	"slices"
	"strings"
)

// MaxSources is how many sets the consumers of one namespace may follow: each costs memory, and looks.
const MaxSources = 256

// follows has the set that each credential follows, by namespace.
type follows map[string]map[string]sourceID

// splitWho gives the namespace, the consumer and the credential of a Query.Who.
func splitWho(who string) (namespace, consumer, credential string) {
	namespace, name, _ := strings.Cut(who, "/")
	consumer, credential, _ = strings.Cut(name, "/")
	return namespace, consumer, credential
}

// take notes that a credential follows a set; false: its namespace follows as many others as it may.
func (f follows) take(who string, id sourceID) bool {
	namespace, _, _ := splitWho(who)
	of := f[namespace]
	if of == nil {
		of = map[string]sourceID{}
		f[namespace] = of
	}
	if former, found := of[who]; found && former == id {
		return true
	}
	sets := map[sourceID]bool{}
	for other, followed := range of {
		if other != who {
			sets[followed] = true
		}
	}
	if !sets[id] && len(sets) >= MaxSources {
		return false
	}
	of[who] = id
	return true
}

// of gives the set that a credential follows.
func (f follows) of(who string) (id sourceID, found bool) {
	namespace, _, _ := splitWho(who)
	id, found = f[namespace][who]
	return id, found
}

// keep forgets what a consumer follows but for some of its credentials, and gives what it has forgotten.
func (f follows) keep(consumer string, credentials []string) (left map[string]sourceID) {
	namespace, name, _ := strings.Cut(consumer, "/")
	left = map[string]sourceID{}
	for who, id := range f[namespace] {
		if _, of, credential := splitWho(who); of == name && !slices.Contains(credentials, credential) {
			left[who] = id
		}
	}
	for who := range left {
		f.drop(who)
	}
	return left
}

// drop forgets what a credential follows.
func (f follows) drop(who string) {
	namespace, _, _ := splitWho(who)
	delete(f[namespace], who)
	if len(f[namespace]) == 0 {
		delete(f, namespace)
	}
}
