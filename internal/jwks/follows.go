package jwks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxSources is how many sets the consumers of one namespace may follow: each costs memory, and looks.
const maxSources = 256

// follows has the set that each credential follows, by namespace.
type follows map[string]map[string]sourceID

// splitWho gives the namespace, the consumer and the credential of a Query.Who.
func splitWho(who string) (namespace, consumer, credential string) {
	namespace, name, _ := strings.Cut(who, "/")
	consumer, credential, _ = strings.Cut(name, "/")
	return namespace, consumer, credential
}

// take notes that a credential follows a set. The error says that its namespace follows too many others.
func (f follows) take(who string, id sourceID) error {
	namespace, _, _ := splitWho(who)
	of := f[namespace]
	if of == nil {
		of = map[string]sourceID{}
		f[namespace] = of
	}
	if former, found := of[who]; found && former == id {
		return nil
	}
	sets := map[sourceID]bool{}
	for other, followed := range of {
		if other != who {
			sets[followed] = true
		}
	}
	if !sets[id] && len(sets) >= maxSources {
		return &Error{Kind: ErrRefused, Message: fmt.Sprintf(
			"a namespace may follow %d key sets (%s follows that many). Follow fewer, or use another namespace.", maxSources, namespace)}
	}
	of[who] = id
	return nil
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
