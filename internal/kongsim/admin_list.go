package kongsim

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// Bounds of the size of a page.
const (
	defaultPage = 100
	maxPage     = 1000
)

// list serves one page of a collection, by id. within is a parent's reference, below a parent.
func (a *admin) list(c *call, k *kind, within object) (*answer, *failed) {
	if k.name == "consumers" && c.query.Has("custom_id") {
		return a.consumerByCustomID(c)
	}
	tagged, problem := tagFilter(c.query)
	if problem != nil && c.query.Get("tags") == "" && !a.version.AtLeast(kong36) {
		problem = unexpected()
	}
	if problem != nil {
		return nil, problem
	}
	size, after, problem := pageOf(c.query)
	if problem != nil {
		return nil, problem
	}
	rows, more := a.store.page(k, within, after, size, tagged)
	page := object{"next": nil}
	if more {
		offset := writeOffset(idOf(rows[size-1]))
		page["offset"], page["next"] = offset, nextPage(c, k, within, offset)
	}
	data := make([]any, 0, len(rows))
	for _, row := range rows {
		data = append(data, a.library.Entities[k.name].Present(row))
	}
	page["data"] = data
	return ok(page)
}

// nextPage is the address of the next page. Below a parent Kong forgets the size, and the tags, and names the parent
// by its id.
func nextPage(c *call, k *kind, within object, offset string) string {
	if len(within) > 0 {
		parent := ""
		for field := range within {
			parent = kinds[k.references[field]].path + "/" + refID(within, field)
		}
		return "/" + parent + "/" + c.segments[2] + "?offset=" + url.QueryEscape(offset)
	}
	next := "/" + k.path + "?offset=" + url.QueryEscape(offset)
	if tags := c.query.Get("tags"); tags != "" {
		next += "&tags=" + url.QueryEscape(tags)
	}
	if c.query.Has("size") {
		next += "&size=" + c.query.Get("size")
	}
	return next
}

// pageOf reads which page is asked for.
func pageOf(query url.Values) (size int, after string, problem *failed) {
	size = defaultPage
	if query.Has("size") {
		number, isNumber := schema.Decimal(query.Get("size"))
		switch {
		case !isNumber:
			return 0, "", invalidSize("size must be a number")
		case number != math.Trunc(number) || number < 1 || number > maxPage:
			return 0, "", invalidSize("size must be an integer between 1 and 1000")
		}
		size = int(number)
	}
	after, problem = readOffset(query.Get("offset"))
	return size, after, problem
}

func writeOffset(last string) string {
	content, _ := json.Marshal([]string{last}) // texts always encode
	return base64.StdEncoding.EncodeToString(content)
}

func readOffset(offset string) (after string, problem *failed) {
	if offset == "" {
		return "", nil
	}
	padded := offset + strings.Repeat("=", (4-len(offset)%4)%4)
	content, err := base64.StdEncoding.DecodeString(padded)
	if err != nil {
		return "", invalidOffset(offset, "bad base64 encoding")
	}
	var ids []string
	if err := json.Unmarshal(content, &ids); err != nil || len(ids) != 1 {
		return "", invalidOffset(offset, "bad json encoding")
	}
	return ids[0], nil
}

// maxTags is how many tags a filter may name.
const maxTags = 5

// What a filter by tags looks like: printable ASCII, and what is beyond.
var (
	allTags = regexp.MustCompile(`^([ -+\-.0-~\x{80}-\x{10FFFF}]+(,|$))+$`)
	anyTag  = regexp.MustCompile(`^([ -+\-.0-~\x{80}-\x{10FFFF}]+(/|$))+$`)
)

// tagFilter reads tags=a,b (all of them) or tags=a/b (any of them). Without tags it gives nil: everything.
func tagFilter(query url.Values) (func(object) bool, *failed) {
	if !query.Has("tags") {
		return nil, nil
	}
	text := query.Get("tags")
	separator := ","
	switch {
	case text == "":
		return nil, invalidTags("cannot be null")
	case allTags.MatchString(text):
	case anyTag.MatchString(text):
		separator = "/"
	default:
		return nil, invalidTags("invalid filter syntax")
	}
	tags := strings.Split(strings.TrimSuffix(text, separator), separator)
	if len(tags) > maxTags {
		return nil, invalidTags("cannot query more than 5 tags")
	}
	return func(row object) bool {
		held, _ := row["tags"].([]any)
		has := func(tag string) bool { return slices.Contains(held, any(tag)) }
		if separator == "/" {
			return slices.ContainsFunc(tags, has)
		}
		return !slices.ContainsFunc(tags, func(tag string) bool { return !has(tag) })
	}, nil
}

func (a *admin) consumerByCustomID(c *call) (*answer, *failed) {
	id := c.query.Get("custom_id")
	if id == "" {
		return nil, message(http.StatusBadRequest, "custom_id must be an unempty string")
	}
	data := []any{}
	if row := a.store.findBy(kinds["consumers"], []string{"custom_id"}, object{"custom_id": id}); row != nil {
		data = append(data, row)
	}
	return ok(object{"data": data, "next": nil})
}

// tags serves GET /tags and /tags/TAG: the entities of every kind that have tags, or one.
func (a *admin) tags(c *call) (*answer, *failed) {
	size, after, problem := pageOf(c.query)
	if problem != nil {
		return nil, problem
	}
	wanted := ""
	if len(c.segments) > 1 {
		wanted = c.segments[1]
	}
	data := []any{}
	page := object{"next": nil}
	last, passed := "", after == ""
	for _, name := range kindNames {
		for _, row := range a.store.all(kinds[name]) {
			for _, tag := range schema.Names(row["tags"]) {
				if wanted != "" && tag != wanted {
					continue
				}
				mark := name + " " + idOf(row) + " " + tag
				if !passed {
					passed = mark == after
					continue
				}
				if len(data) == size {
					page["offset"] = writeOffset(last)
					page["next"] = c.URL.EscapedPath() + "?offset=" + url.QueryEscape(writeOffset(last))
					page["data"] = data
					return ok(page)
				}
				last = mark
				data = append(data, object{"entity_name": name, "entity_id": row["id"], "tag": tag})
			}
		}
	}
	page["data"] = data
	return ok(page)
}
