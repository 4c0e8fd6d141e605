package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// Every configuration carries its revision: a number that grows with each push, and a hash of the content, in a tag
// of a consumer that has no credential. So a process that has just started, and a node that was away, are told apart
// from what is newest: the highest number wins, where its content is as it was written.

// tagRevision begins the tag that has the revision: "kongjwt-revision:<number>:<hash>".
const tagRevision = desired.TagManaged + "-revision:"

// revision is what such a tag says; zero where there is none.
type revision struct {
	number int64
	hash   string
}

// revisions numbers configurations. It may be used from many goroutines.
type revisions struct {
	mu   sync.Mutex
	last int64
}

// next is a number above all that were seen. It follows the clock, so that it also is above those of nodes that are
// away.
func (r *revisions) next() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last+1, time.Now().UnixMilli())
	return r.last
}

// saw raises the number to one that a node runs.
func (r *revisions) saw(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = max(r.last, number)
}

// stamp adds the carrier of the next revision to a configuration.
func (r *revisions) stamp(
	scope desired.Scope, entities []kong.Entity, canonical func(kong.Entity) []byte,
) (stamped []kong.Entity, number int64) {
	number = r.next()
	tags := append([]string{desired.TagManaged}, scope.ListTags()...)
	carrier := kong.Entity{
		Kind: kong.KindConsumer, ID: carrierID(scope),
		Fields: kong.Fields{
			"username": "kongjwt-revision:" + scope.Gateway,
			"tags":     append(tags, fmt.Sprintf("%s%d:%s", tagRevision, number, contentHash(entities, canonical))),
		},
	}
	return append(slices.Clone(entities), carrier), number
}

func carrierID(scope desired.Scope) string {
	return scope.ID(kong.KindConsumer, desired.GatewayOwner(scope.Gateway), "revision")
}

// revisionOf reads the revision that an entity carries.
func revisionOf(e kong.Entity) (revision, bool) {
	for _, tag := range e.Fields.Tags() {
		text, isRevision := strings.CutPrefix(tag, tagRevision)
		if !isRevision {
			continue
		}
		number, hash, _ := strings.Cut(text, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		return revision{number: n, hash: hash}, err == nil
	}
	return revision{}, false
}

// contentHash stands for all entities of a configuration, sorted by id. It is only found where the entities themselves
// are: in Kong.
func contentHash(entities []kong.Entity, canonical func(kong.Entity) []byte) string {
	sum := sha256.New()
	for _, e := range entities {
		fmt.Fprintf(sum, "%s\x00%s\x00", e.Kind, e.ID)
		sum.Write(canonical(e))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
