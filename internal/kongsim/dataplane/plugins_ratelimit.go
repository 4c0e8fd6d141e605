package dataplane

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/pluginconfig"
)

// rateLimit is the rate-limiting plugin. Whatever its policy, counters are the
// node's own, shared by its workers.
type rateLimit struct {
	pluginconfig.RateLimiting

	scope  string // of the plugin, part of every counter's name
	limits []rateWindow
}

// rateWindow is one limit of a plugin.
type rateWindow struct {
	name    string
	seconds int64 // as Kong counts them: a month has 30 days
	limit   int64
	start   func(time.Time) time.Time
}

func compileRateLimit(view *PluginView) (plugin, error) {
	settings, err := pluginconfig.RateLimitSettings(view.Config)
	if err != nil {
		return nil, err
	}
	p := &rateLimit{RateLimiting: settings, scope: view.RouteID + ":" + view.ServiceID}
	for _, w := range settings.Windows() {
		window := rateWindows[w.Name]
		window.limit = int64(w.Limit)
		p.limits = append(p.limits, window)
	}
	return p, nil
}

var rateWindows = map[string]rateWindow{
	"second": {name: "Second", seconds: 1, start: func(t time.Time) time.Time { return t.Truncate(time.Second) }},
	"minute": {name: "Minute", seconds: 60, start: func(t time.Time) time.Time { return t.Truncate(time.Minute) }},
	"hour":   {name: "Hour", seconds: 3600, start: func(t time.Time) time.Time { return t.Truncate(time.Hour) }},
	"day":    {name: "Day", seconds: 86400, start: func(t time.Time) time.Time { return date(t.Year(), t.Month(), t.Day()) }},
	"month":  {name: "Month", seconds: 30 * 86400, start: func(t time.Time) time.Time { return date(t.Year(), t.Month(), 1) }},
	"year":   {name: "Year", seconds: 365 * 86400, start: func(t time.Time) time.Time { return date(t.Year(), 1, 1) }},
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func (p *rateLimit) access(x *exchange) *reply {
	now := x.now.UTC().Truncate(time.Second)
	who := p.scope + ":" + p.identifier(x)
	remaining := make([]int64, len(p.limits))
	exhausted := ""
	for i, w := range p.limits {
		remaining[i] = w.limit - x.counters.read(w.counter(who, now))
		if remaining[i] <= 0 {
			exhausted = w.name
		}
	}
	reset := p.announce(x, now, remaining, exhausted)
	if exhausted != "" {
		if !p.HideClientHeaders {
			x.answer.Set("Retry-After", strconv.FormatInt(reset, 10))
		}
		return x.fail(int(p.ErrorCode), p.ErrorMessage)
	}
	for _, w := range p.limits {
		x.counters.add(w.counter(who, now), now, w.start(now).Add(time.Duration(w.seconds+86400)*time.Second))
	}
	return nil
}

// identifier is what requests are counted by; the client's address where
// there is nothing else.
func (p *rateLimit) identifier(x *exchange) string {
	id := ""
	switch p.LimitBy {
	case "consumer":
		if x.consumer != nil {
			id = x.consumer.ID
		}
	case "credential":
		id = x.credentialID
	case "service":
		if x.service != nil {
			id = x.service.ID
		}
	case "header":
		id = x.request.Header.Get(p.HeaderName)
	case "path":
		if x.path == p.Path {
			id = x.path
		}
	}
	if id == "" {
		return x.clientIP()
	}
	return id
}

// announce sets the headers that tell the client where it stands and gives the
// seconds until the tightest window ends. A window that another one's
// exhaustion leaves uncounted is not reduced by this request.
func (p *rateLimit) announce(x *exchange, now time.Time, remaining []int64, exhausted string) int64 {
	var tightest *rateWindow
	var least, reset int64
	for i := range p.limits {
		w, left := &p.limits[i], remaining[i]
		if exhausted == "" || exhausted == w.name {
			left--
		}
		left = max(left, 0)
		if tightest == nil || left < least || left == least && w.seconds > tightest.seconds {
			tightest, least = w, left
			reset = max(1, w.seconds-int64(now.Sub(w.start(now))/time.Second))
		}
		if !p.HideClientHeaders {
			x.answer.Set("X-RateLimit-Limit-"+w.name, strconv.FormatInt(w.limit, 10))
			x.answer.Set("X-RateLimit-Remaining-"+w.name, strconv.FormatInt(left, 10))
		}
	}
	if tightest != nil && !p.HideClientHeaders {
		x.answer.Set("RateLimit-Limit", strconv.FormatInt(tightest.limit, 10))
		x.answer.Set("RateLimit-Remaining", strconv.FormatInt(least, 10))
		x.answer.Set("RateLimit-Reset", strconv.FormatInt(reset, 10))
	}
	return reset
}

// counter names the window that now is in.
func (w *rateWindow) counter(who string, now time.Time) string {
	return strings.Join([]string{who, w.name, strconv.FormatInt(w.start(now).Unix(), 10)}, ":")
}

// rateCounters are a node's counters.
type rateCounters struct {
	mu     sync.Mutex
	counts map[string]rateCount
}

type rateCount struct {
	n       int64
	expires time.Time
}

// maxRateCounters is how many counters are kept before old ones are dropped.
const maxRateCounters = 10_000

func newRateCounters() *rateCounters { return &rateCounters{counts: map[string]rateCount{}} }

func (c *rateCounters) read(name string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[name].n
}

func (c *rateCounters) add(name string, now, expires time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.counts) >= maxRateCounters {
		for k, v := range c.counts {
			if v.expires.Before(now) {
				delete(c.counts, k)
			}
		}
	}
	c.counts[name] = rateCount{n: c.counts[name].n + 1, expires: expires}
}
