package kong

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// escape makes a name one segment of a path. Kong unescapes segments once, so that "/" in a name
// survives as %2F; "." and "..", which servers resolve, are escaped too.
func escape(segment string) string {
	if segment == "." || segment == ".." {
		return strings.ReplaceAll(segment, ".", "%2E")
	}
	return url.PathEscape(segment)
}

// call is one request: what it is in an error, and where it goes.
type call struct {
	method string
	// kind is for metrics and for what is redacted.
	kind Kind
	// template is the path without ids, path the escaped path, query the encoded query.
	template, path, query string
	// slow says that the answer may take longer than Config.Timeout.
	slow bool
}

func (c call) request(status int) Request {
	return Request{Method: c.method, Path: c.template, Status: status}
}

var errNoID = errors.New("kong: an id or name is missing")

// entityCall is a request about one entity at the path it is written and deleted at.
func entityCall(method string, kind Kind, consumerID, id string) (call, error) {
	switch {
	case !kind.known():
		return call{}, fmt.Errorf("kong: kind %q is not known", string(kind))
	case id == "":
		return call{}, errNoID
	case !kind.underConsumer():
		return topCall(method, kind, id)
	case consumerID == "":
		return call{}, fmt.Errorf("kong: a %s needs the id of its consumer", kind.Singular())
	}
	return call{
		method:   method,
		kind:     kind,
		template: "/consumers/{id}/" + kind.segment() + "/{id}",
		path:     "/consumers/" + escape(consumerID) + "/" + kind.segment() + "/" + escape(id),
	}, nil
}

// topCall is a request about one entity in the collection that all of its kind are in.
func topCall(method string, kind Kind, nameOrID string) (call, error) {
	if !kind.known() {
		return call{}, fmt.Errorf("kong: kind %q is not known", string(kind))
	}
	if nameOrID == "" {
		return call{}, errNoID
	}
	return call{
		method:   method,
		kind:     kind,
		template: "/" + string(kind) + "/{id}",
		path:     "/" + string(kind) + "/" + escape(nameOrID),
	}, nil
}
