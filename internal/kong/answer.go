package kong

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// refusal is the body of an error. Its message is read to tell Kong's 404 from another server's,
// and never repeated.
type refusal struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields"`
	Options map[string]any `json:"options"`
}

// judge is the error that an answer stands for, nil for a success. sent is the body of the request,
// whose secrets must not come back in an error.
func (c *Client) judge(call call, status int, header http.Header, body []byte, sent Fields) error {
	if status >= 200 && status < 300 {
		return nil
	}
	request := call.request(status)
	var answer refusal
	isObject := json.Unmarshal(body, &answer) == nil
	switch {
	case status == http.StatusForbidden && answer.Message == unlicensed:
		return &UnlicensedError{request}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return &UnauthorizedError{Request: request, Stranger: !isObject || answer.Message == ""}
	case status == http.StatusNotFound:
		if !isObject || !isKongsNotFound(answer) {
			return &UnavailableError{Request: request, Cause: stranger(header, answer)}
		}
		return &NotFoundError{request}
	case status == http.StatusMethodNotAllowed:
		return &UnsupportedError{request}
	case status == http.StatusConflict:
		return &ConflictError{Request: request, Fields: fieldNames(answer.Fields)}
	case status == http.StatusTooManyRequests:
		return &ThrottledError{Request: request, RetryAfter: retryAfter(header, time.Now())}
	case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
		return &ThrottledError{Request: request, RetryAfter: retryAfter(header, time.Now())}
	case status >= 300 && status < 400:
		return &UnavailableError{Request: request, Cause: CauseRedirect, err: errRedirect}
	case status == http.StatusBadRequest && !isObject && strings.Contains(string(body), toTLSPort):
		return &UnavailableError{Request: request, Cause: CauseTLSPort}
	case status == http.StatusRequestTimeout || status >= 500:
		return &UnavailableError{Request: request, Cause: CauseServer}
	}
	fields := answer.Fields
	if len(fields) == 0 {
		fields = answer.Options
	}
	scrubber := newScrubber(call.kind, sent, string(c.token))
	return &InvalidError{Request: request, Code: answer.Code, Fields: reasons(answer.Code, fields, scrubber)}
}

// unlicensed is the message of an Enterprise that takes no writes for want of a license: the status is that of a token
// without rights.
const unlicensed = "Enterprise license missing or expired"

// toTLSPort is in nginx's answer to a request without TLS on a port for it (ngx_http_special_response.c, status 497).
const toTLSPort = "plain HTTP request was sent to HTTPS port"

// noRoute is the message of Kong's proxy where no route matches (kong/runloop/handler.lua).
const noRoute = "no Route matched with those values"

// stranger says what answers where it is no Admin API.
func stranger(header http.Header, answer refusal) Cause {
	switch {
	case answer.Message == noRoute:
		return CauseProxyPort
	case strings.HasPrefix(header.Get("Content-Type"), "text/html"):
		return CauseWebPage
	}
	return CauseNotKong
}

var errRedirect = errors.New("redirected; redirects are not followed, because they would take the token along")

// isKongsNotFound tells the Admin API's 404 from that of a proxy in front of it or of a wrong address.
// Taking the latter for an answer would make everything in Kong look deleted.
func isKongsNotFound(answer refusal) bool {
	return answer.Code == CodeNotFound || strings.EqualFold(strings.TrimSuffix(answer.Message, "."), "not found") ||
		strings.HasPrefix(answer.Message, "Workspace ") || strings.HasPrefix(answer.Message, "No plugin named ")
}

// fieldName is what the name of a field with a unique value looks like.
var fieldName = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)

// fieldNames are the names of the fields that a conflict is about; their values are not looked at.
func fieldNames(fields map[string]any) []string {
	var names []string
	for name, value := range fields {
		// A plugin's unique key spans all that it may be set on: what it is not set on says nothing.
		if value != nil && fieldName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reasons flattens the fields of a refusal to dotted paths.
func reasons(code int, fields map[string]any, scrubber scrubber) map[string]string {
	out := map[string]string{}
	for name, value := range fields {
		if _, nested := value.(map[string]any); nested && code == CodeForeignKey {
			out[scrubber.path(name)] = "does not exist"
			continue
		}
		flatten(out, name, value, scrubber)
	}
	return out
}

func flatten(out map[string]string, path string, value any, scrubber scrubber) {
	switch value := value.(type) {
	case string:
		out[scrubber.path(path)] = scrubber.reason(path, value)
	case map[string]any:
		for name, nested := range value {
			if strings.HasPrefix(name, "@") {
				flatten(out, path, nested, scrubber)
				continue
			}
			flatten(out, path+"."+name, nested, scrubber)
		}
	case []any:
		flattenList(out, path, value, scrubber)
	}
}

// flattenList flattens the reasons of a list's elements, which stand where the elements do; those of
// an entity as a whole are a plain list of reasons.
func flattenList(out map[string]string, path string, list []any, scrubber scrubber) {
	if !strings.HasPrefix(path, "@") {
		for i, nested := range list {
			flatten(out, path+"["+strconv.Itoa(i)+"]", nested, scrubber)
		}
		return
	}
	var whole []string
	for _, nested := range list {
		if reason, ok := nested.(string); ok {
			whole = append(whole, scrubber.reason(path, reason))
		}
	}
	out[scrubber.path(path)] = strings.Join(whole, "; ")
}

// retryAfter reads the header's seconds or HTTP date (RFC 9110 10.2.3); 0 for neither or the past.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil {
		return max(0, time.Duration(min(seconds, maxRetryAfterSeconds))*time.Second)
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(0, date.Sub(now)), maxRetryAfterSeconds*time.Second)
	}
	return 0
}

// maxRetryAfterSeconds bounds what a server can ask for: a day.
const maxRetryAfterSeconds = 24 * 60 * 60
