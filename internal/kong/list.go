package kong

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxPageSize is Kong's limit; the fewest requests list the fastest.
const maxPageSize = 1000

// ListOptions say what of a collection is listed.
type ListOptions struct {
	// Tags are the tags that an entity must all have; none lists everything. Kong takes at most 5.
	Tags []string
	// PageSize is 1 to 1000, 1000 by default.
	PageSize int
}

func (o ListOptions) query() (string, error) {
	size := o.PageSize
	if size == 0 {
		size = maxPageSize
	}
	query := "size=" + strconv.Itoa(size)
	if len(o.Tags) == 0 {
		return query, nil
	}
	escaped := make([]string, len(o.Tags))
	for i, tag := range o.Tags {
		// Kong splits the decoded value, so that there is no way to ask for such a tag, nor to have one.
		if tag == "" || strings.ContainsAny(tag, ",/") {
			return "", fmt.Errorf("kong: %q cannot be a tag", tag)
		}
		escaped[i] = strings.ReplaceAll(url.QueryEscape(tag), "+", "%20")
	}
	return query + "&tags=" + strings.Join(escaped, ","), nil
}

// List lists the entities of a kind, a page at a time. It ends with the first error. What is written
// while it runs may or may not be in it.
func (c *Client) List(ctx context.Context, kind Kind, opts ListOptions) iter.Seq2[Entity, error] {
	query, err := opts.query()
	if err == nil && !kind.known() {
		err = fmt.Errorf("kong: kind %q is not known", string(kind))
	}
	if err != nil {
		return failed(err)
	}
	path := "/" + string(kind)
	return c.pages(ctx, call{method: http.MethodGet, kind: kind, template: path, path: path, query: query})
}

// ListChildren lists the entities of a kind that hang on one parent: the routes and plugins of a
// service, the plugins of a route, the credentials, groups and plugins of a consumer, those of other plugins
// included. The error of a parent that is not there is a NotFoundError.
func (c *Client) ListChildren(ctx context.Context, parent Kind, parentID string, child Kind) iter.Seq2[Entity, error] {
	above, err := topCall(http.MethodGet, parent, parentID)
	if err == nil && !child.readable() {
		err = fmt.Errorf("kong: kind %q is not known", string(child))
	}
	if err != nil {
		return failed(err)
	}
	return c.pages(ctx, call{
		method:   http.MethodGet,
		kind:     child,
		template: above.template + "/" + child.segment(),
		path:     above.path + "/" + child.segment(),
		query:    "size=" + strconv.Itoa(maxPageSize),
	})
}

func failed(err error) iter.Seq2[Entity, error] {
	return func(yield func(Entity, error) bool) { yield(Entity{}, err) }
}

// page is one answer to a list.
type page struct {
	Data   json.RawMessage `json:"data"`
	Offset string          `json:"offset"`
}

// pages follows a list to its end by its offsets, with the first request's query: the `next` that
// Kong gives leaves size out under a parent.
func (c *Client) pages(ctx context.Context, first call) iter.Seq2[Entity, error] {
	return func(yield func(Entity, error) bool) {
		next, offset := first, ""
		for {
			var got page
			if err := c.do(ctx, next, nil, &got); err != nil {
				yield(Entity{}, err)
				return
			}
			objects, err := got.objects()
			if err != nil || got.Offset != "" && got.Offset == offset {
				yield(Entity{}, &UnavailableError{Request: next.request(http.StatusOK), Cause: CauseNotKong, err: err})
				return
			}
			for _, object := range objects {
				if !yield(newEntity(first.kind, object), nil) {
					return
				}
			}
			if got.Offset == "" {
				return
			}
			offset = got.Offset
			next.query = first.query + "&offset=" + url.QueryEscape(offset)
		}
	}
}

var errNoList = errors.New("the answer holds no list")

func (p page) objects() ([]map[string]any, error) {
	// Lua's empty table is an object to some encoders.
	if bytes.Equal(bytes.TrimSpace(p.Data), []byte("{}")) {
		return nil, nil
	}
	var objects []map[string]any
	if len(p.Data) == 0 || json.Unmarshal(p.Data, &objects) != nil {
		return nil, errNoList
	}
	return objects, nil
}
