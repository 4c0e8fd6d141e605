package held

import (
	"maps"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// hidden are KongPlugins, by the owner whose KongClusterPlugin has the name of one: the controller takes a KongPlugin
// of a namespace instead of that.
type hidden map[desired.Owner]map[objects.Reference]bool

func (h hidden) set(owner desired.Owner, by objects.Reference, is bool) {
	if is && h[owner] == nil {
		h[owner] = map[objects.Reference]bool{}
	}
	if is {
		h[owner][by] = true
	} else if delete(h[owner], by); len(h[owner]) == 0 {
		delete(h, owner)
	}
}

// Listing is one of KongPlugins that is under way. What a watch says of one meanwhile is newer than what it finds.
type Listing struct{ said map[objects.Reference]bool }

// finds says whether a KongPlugin is there, by what a listing found.
func (l *Listing) finds(by objects.Reference, found map[objects.Reference]bool) bool {
	if there, said := l.said[by]; said {
		return there
	}
	return found[by]
}

// BeginListing notes that KongPlugins are listed from now on. EndListing ends it, also where it failed.
func (s *Store) BeginListing() *Listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &Listing{map[objects.Reference]bool{}}
	s.listings[l] = true
	return l
}

// EndListing forgets a listing.
func (s *Store) EndListing(l *Listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listings, l)
}

// Hide takes which KongPlugins a listing of all namespaces found; home is the namespace of a gateway's own objects. It
// gives the owners for whom it changed whether one of theirs is hidden.
func (s *Store) Hide(l *Listing, plugins map[objects.Reference]bool, home string) map[desired.Owner]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	former, changed := s.hidden, map[desired.Owner]bool{}
	s.hidden = hidden{}
	for r, owner := range s.owner {
		if by := objects.Hiding(r, owner, home); by != (objects.Reference{}) && l.finds(by, plugins) {
			s.hidden.set(owner, by, true)
		}
	}
	for _, all := range []hidden{former, s.hidden} {
		for owner := range all {
			if !maps.Equal(former[owner], s.hidden[owner]) {
				changed[owner] = true
			}
		}
	}
	return changed
}

// HideOne notes that a KongPlugin is there, or gone, and gives the owner one of whose it hides, where that changed.
func (s *Store) HideOne(by objects.Reference, there bool, home string) (owner desired.Owner, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listings {
		l.said[by] = there
	}
	r := objects.Reference{APIVersion: objects.GroupKong, Kind: objects.KindClusterPlugin, Name: by.Name}
	owner, known := s.owner[r]
	if !known {
		for owner, all := range s.hidden { // of one whose KongClusterPlugin is not there yet
			if all[by] && !there {
				s.hidden.set(owner, by, false)
				return owner, true
			}
		}
	}
	if !known || objects.Hiding(r, owner, home) != by || s.hidden[owner][by] == there {
		return desired.Owner{}, false
	}
	s.hidden.set(owner, by, there)
	return owner, true
}

// HideOwn notes which of the KongPlugins that would hide what an owner has or wants a listing found.
func (s *Store) HideOwn(
	l *Listing, owner desired.Owner, would []objects.Reference, plugins map[objects.Reference]bool,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hidden, owner)
	for _, by := range would {
		if l.finds(by, plugins) {
			s.hidden.set(owner, by, true)
		}
	}
}

// HiddenBy gives the KongPlugins that are taken instead of an owner's KongClusterPlugins, by their names.
func (s *Store) HiddenBy(owner desired.Owner) []objects.Reference {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.hidden[owner]), func(a, b objects.Reference) int {
		return strings.Compare(a.Name, b.Name)
	})
}
