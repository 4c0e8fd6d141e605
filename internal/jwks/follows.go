package jwks

import (
	"maps"
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

// keep forgets what a consumer follows but for some of its credentials.
func (f follows) keep(consumer string, credentials []string) {
	namespace, name, _ := strings.Cut(consumer, "/")
	maps.DeleteFunc(f[namespace], func(who string, _ sourceID) bool {
		_, of, credential := splitWho(who)
		return of == name && !slices.Contains(credentials, credential)
	})
	if len(f[namespace]) == 0 {
		delete(f, namespace)
	}
}
