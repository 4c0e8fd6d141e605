// Package request reads what a person asks of a consumer's credentials by an annotation, and remembers which requests
// were seen. It does no I/O.
package request

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// Request is the value of an annotation. The zero value asks nothing, as an annotation does that is empty or not
// there.
type Request struct {
	annotation string
	// credential is the one that is meant; empty for all.
	credential string
	// id stands for the annotation and its whole value.
	id string
}

// Parse reads the value of an annotation: "<credential>=<value>" asks it of one credential, a value without "=" of
// all.
func Parse(annotation, value string) Request {
	if value == "" {
		return Request{}
	}
	sum := sha256.Sum256([]byte(annotation + "\x00" + value))
	r := Request{annotation: annotation, id: hex.EncodeToString(sum[:idBytes])}
	if name, _, scoped := strings.Cut(value, "="); scoped {
		r.credential = name
		if name == "" {
			r.credential = "=" // no name of a credential: the request concerns none
		}
	}
	return r
}

// idBytes of a hash are enough to tell the requests of one consumer apart.
const idBytes = 8

// Empty says that nothing is asked.
func (r Request) Empty() bool { return r.id == "" }

// Concerns says whether a request is meant for a credential.
func (r Request) Concerns(credential string) bool {
	return !r.Empty() && (r.credential == "" || r.credential == credential)
}

// Check refuses a request that names a credential which the spec does not have, unless the record has seen it: the
// credential was there then. The error is a *status.StalledError with reason InvalidSpec.
func (r Request) Check(credentials []string, seen ...Record) error {
	if r.Empty() || r.credential == "" || slices.Contains(credentials, r.credential) ||
		slices.ContainsFunc(seen, func(record Record) bool { return record.Has(r) }) {
		return nil
	}
	return status.Stalled(v1alpha1.ReasonInvalidSpec,
		"metadata.annotations[%s]: it names a credential that spec.credentials does not have, and nothing was done (the text before \"=\" is a name). "+
			"Write one of %s before \"=\", or a value without \"=\" for all credentials.", r.annotation, listed(credentials))
}

func listed(credentials []string) string {
	if len(credentials) == 0 {
		return "the credentials' names"
	}
	return strings.Join(credentials, ", ")
}

// Record remembers the requests that were seen, so that none is carried out twice: not when a value comes back with a
// rollback, not when a tool takes the annotation off and puts it on again, and not when an old object is read. The
// zero value has seen nothing.
type Record struct{ ids []string }

// recorded is how many requests a record remembers. Those that an object carries now are never forgotten.
const recorded = 32

// Has says whether a request was seen. What asks nothing always was.
func (r Record) Has(request Request) bool {
	return request.Empty() || slices.Contains(r.ids, request.id)
}

// With remembers the requests that an object carries now.
func (r Record) With(requests ...Request) Record {
	ids := slices.Clone(r.ids)
	for _, request := range requests {
		if !request.Empty() {
			ids = append(slices.DeleteFunc(ids, func(id string) bool { return id == request.id }), request.id)
		}
	}
	return Record{ids: ids[max(0, len(ids)-recorded):]}
}

// Equal says whether two records remember the same.
func (r Record) Equal(other Record) bool { return slices.Equal(r.ids, other.ids) }

// MarshalJSON writes the record, oldest request first.
func (r Record) MarshalJSON() ([]byte, error) {
	if r.ids == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(r.ids)
}

// UnmarshalJSON reads a record.
func (r *Record) UnmarshalJSON(content []byte) error {
	var ids []string
	if err := json.Unmarshal(content, &ids); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	r.ids = ids
	return nil
}
