// Package held keeps which objects of a gateway are there, as far as is known: filled by listings of metadata, kept by
// every write.
package held

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/objects"
)

// Object is an object that is there.
type Object struct {
	objects.Object
	// Print is its fingerprint after this process wrote it, or saw it first; empty once somebody changed it.
	// Whatever is applied then is new to Kong, also where it is what was there before.
	Print string
	// Epoch is when it was written last; see internal/ingress/barrier. Made is when this process made it; zero
	// where it was there.
	Epoch, Made uint64
	// Since is when it was written as it is wanted, for what waits for it, and Repairs how often it was put right
	// without being seen in Kong; see Repaired.
	Since   uint64
	Repairs int
	// UID tells it apart from another of its name. Written is when this process wrote it last; zero where it was
	// there.
	UID     string
	Written time.Time
	// Stale says that it is applied again though its sum is as wanted: somebody may have changed it.
	Stale bool
}

// IsAccess says whether a consumer's access rests on an object: a credential or a group.
func (o Object) IsAccess() bool { return o.Entity == kong.KindJWT || o.Entity == kong.KindACL }

// Store are the objects of a gateway that are there, as far as is known. It may be used from many goroutines.
type Store struct {
	mu     sync.Mutex
	owners map[desired.Owner]map[objects.Reference]Object
	// owner, byID and byKey find an object by its reference, its entity's id, and what must be unique of it.
	owner map[objects.Reference]desired.Owner
	byID  map[string]objects.Reference
	byKey map[lookupKey]map[objects.Reference]bool
	// removed is when anything of an owner was taken away last, and access when a credential or a route was.
	removed, access map[desired.Owner]uint64
	// began is the epoch that the first listing has. What a former process took away before it, nobody knows.
	began uint64
	// hidden are the KongPlugins that are taken instead of an owner's KongClusterPlugins, and listings those of
	// KongPlugins that are under way.
	hidden   hidden
	listings map[*Listing]bool
	writing  writing
	// dropped are the KongConsumers of which the controller says that Kong has them not.
	dropped map[objects.Reference]bool
	counts  map[kong.Kind]int
}

// lookupKey is what unique keys that overlap have in common.
type lookupKey struct {
	kind  desired.UniqueKind
	value string
}

func lookupOf(key desired.UniqueKey) lookupKey { return lookupKey{key.Kind, key.Value} }

// New makes an empty Store.
func New() *Store {
	s := &Store{
		removed: map[desired.Owner]uint64{}, access: map[desired.Owner]uint64{},
		dropped: map[objects.Reference]bool{}, hidden: hidden{}, listings: map[*Listing]bool{},
		writing: writing{},
	}
	s.clear()
	return s
}

func (s *Store) clear() {
	s.owners, s.owner = map[desired.Owner]map[objects.Reference]Object{}, map[objects.Reference]desired.Owner{}
	s.byID, s.byKey = map[string]objects.Reference{}, map[lookupKey]map[objects.Reference]bool{}
	s.counts = map[kong.Kind]int{}
}

// Replace takes what a listing found. What was written after the epoch since, when the listing began, stays as it was
// written. wrote gives the epoch of what was not known: nobody knows yet whether the controller has it. It gives the
// owners whose objects somebody else changed or deleted.
func (s *Store) Replace(found []Object, since uint64, wrote func() uint64) map[desired.Owner]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	former, changed, epoch := s.owners, map[desired.Owner]bool{}, uint64(0)
	first := len(s.owner) == 0
	s.clear()
	for _, one := range found {
		before, known := former[one.Owner][one.Reference]
		switch {
		case known && before.Epoch > since:
			continue // it is added below
		case known:
			one.Epoch, one.Made, one.Stale, one.Written = before.Epoch, before.Made, before.Stale, before.Written
			// As this process wrote it: where somebody opened a guarded route, it is guarded again.
			one.Since, one.Repairs, one.Guarded = before.Since, before.Repairs, before.Guarded
			if before.Print != one.Print {
				s.writing.tell(one.Reference, one.Print)
				one.Print, one.Stale = "", true
				changed[one.Owner] = true
			}
		default:
			if epoch == 0 {
				epoch = wrote()
			}
			one.Epoch, one.Since, one.Stale = epoch, epoch, true // whatever somebody did to it meanwhile
			if !first {
				changed[one.Owner] = true // it is nobody's wish, or a write that failed was done
			}
		}
		s.add(one)
	}
	for owner, objects := range former {
		for reference, before := range objects {
			if _, there := s.owners[owner][reference]; there {
				continue
			}
			if before.Epoch > since {
				s.add(before)
				continue
			}
			changed[owner] = true
		}
	}
	return changed
}

// Began notes the epoch of the first listing: until it is confirmed, everything may be in Kong that a former process
// took away.
func (s *Store) Began(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = epoch
}

// Begun gives the epoch of the first listing.
func (s *Store) Begun() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began
}

// Put records an object as it was written. It gives the unique keys that it no longer has.
func (s *Store) Put(o Object) (freed []desired.UniqueKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.owners[o.Owner][o.Reference]
	if s.writing.mayDiffer(o) {
		o.Print, o.Stale = "", true
	}
	s.remove(o.Reference)
	s.add(o)
	return slices.DeleteFunc(slices.Clone(before.Unique), func(key desired.UniqueKey) bool {
		return slices.Contains(o.Unique, key)
	})
}

// Drop forgets an object that was deleted.
func (s *Store) Drop(o Object, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(o.Reference)
	delete(s.dropped, o.Reference)
	if o.Rank() == objects.RankTop { // the rest means nothing to Kong once nothing names it
		s.removed[o.Owner] = epoch
	}
	if o.Entity == kong.KindConsumer || o.Entity == kong.KindRoute {
		s.access[o.Owner] = epoch
	}
}

func (s *Store) add(o Object) {
	if s.owners[o.Owner] == nil {
		s.owners[o.Owner] = map[objects.Reference]Object{}
	}
	s.owners[o.Owner][o.Reference], s.owner[o.Reference] = o, o.Owner
	if o.ID != "" {
		s.byID[o.ID] = o.Reference
	}
	for _, key := range o.Unique {
		if s.byKey[lookupOf(key)] == nil {
			s.byKey[lookupOf(key)] = map[objects.Reference]bool{}
		}
		s.byKey[lookupOf(key)][o.Reference] = true
	}
	s.count(o, 1)
}

func (s *Store) remove(r objects.Reference) {
	owner, known := s.owner[r]
	if !known {
		return
	}
	o := s.owners[owner][r]
	delete(s.owner, r)
	delete(s.owners[owner], r)
	if len(s.owners[owner]) == 0 {
		delete(s.owners, owner)
	}
	if s.byID[o.ID] == r {
		delete(s.byID, o.ID)
	}
	for _, key := range o.Unique {
		delete(s.byKey[lookupOf(key)], r)
		if len(s.byKey[lookupOf(key)]) == 0 {
			delete(s.byKey, lookupOf(key))
		}
	}
	s.count(o, -1)
}

func (s *Store) count(o Object, by int) {
	if o.Entity != "" {
		s.counts[o.Entity] += by
	}
}

// Withdrew notes when access of an owner was taken away.
func (s *Store) Withdrew(owner desired.Owner, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access[owner] = epoch
}

// Of gives an owner's objects.
func (s *Store) Of(owner desired.Owner) []Object {
	s.mu.Lock()
	own := slices.Collect(maps.Values(s.owners[owner]))
	s.mu.Unlock()
	slices.SortFunc(own, func(a, b Object) int { return strings.Compare(a.String(), b.String()) })
	return own
}

// LastWrite is when anything of an owner was written, deleted or taken away last.
func (s *Store) LastWrite(owner desired.Owner) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := max(s.removed[owner], s.access[owner], s.began)
	for _, o := range s.owners[owner] {
		last = max(last, o.Epoch)
	}
	return last
}

// LastRemoved is when anything of an owner may have been taken away last that named something.
func (s *Store) LastRemoved(owner desired.Owner) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.removed[owner], s.began)
}

// LastAccess is when access of an owner may have been taken away last.
func (s *Store) LastAccess(owner desired.Owner) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.access[owner], s.began)
}

// Forget drops what is remembered of an owner that is gone.
func (s *Store) Forget(owner desired.Owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.removed, owner)
	delete(s.access, owner)
	delete(s.hidden, owner)
}

// Find finds an entity's object.
func (s *Store) Find(id string) (Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.byID[id]
	return s.owners[s.owner[r]][r], found
}

// Get finds an object by its reference.
func (s *Store) Get(r objects.Reference) (Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, found := s.owner[r]
	return s.owners[owner][r], found
}

// Holder finds who, but for one owner, has a unique key; its value is as objects have it.
func (s *Store) Holder(key desired.UniqueKey, but desired.Owner) (desired.Owner, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.byKey[lookupOf(key)] {
		owner := s.owner[r]
		if owner != but && slices.ContainsFunc(s.owners[owner][r].Unique, key.Overlaps) {
			return owner, true
		}
	}
	return desired.Owner{}, false
}

// Entities counts the objects of each owner.
func (s *Store) Entities() map[desired.Owner]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[desired.Owner]int{}
	for owner, all := range s.owners {
		counts[owner] = len(all)
	}
	return counts
}

// Dropped notes whether the controller says of an object that Kong has it not, and says whether that is new.
func (s *Store) Dropped(r objects.Reference, dropped bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped[r] == dropped {
		return false
	}
	if _, there := s.owner[r]; dropped && there {
		s.dropped[r] = true
		return true
	}
	_, was := s.dropped[r]
	delete(s.dropped, r)
	return was
}

// Changed notes the fingerprint that an object has, and says whether somebody has just changed it: it is applied
// again. What plugins are attached to is somebody else's, and its owner looks itself.
func (s *Store) Changed(r objects.Reference, print string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner, there := s.owner[r]
	o := s.owners[owner][r]
	if there && o.Print == print {
		return false
	}
	s.writing.tell(r, print)
	if !there || o.Attached {
		return false
	}
	changed := !o.Stale
	o.Print, o.Stale = "", true
	s.owners[owner][r] = o
	return changed
}

// Counts says how many entities of each kind there are.
func (s *Store) Counts() map[kong.Kind]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}
