package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/page"
)

// row is one thing that was measured, and its limit.
type row struct {
	what, measured, limit string
	good                  bool
}

type report struct {
	settings
	rows []row
}

func newReport(s settings) *report { return &report{settings: s} }

// Limits.
const (
	maxWallRatio = 1.25
	// Against programs that do the same and decide nothing.
	maxReadingRatio = 2.25
	maxCacheRatio   = 1.5
	maxFollowRatio  = 1.5
	maxRareRatio    = 3.0
	maxMemory       = 175 << 20 // docs/design/2026-11-29-metrics-and-memory.md says of what
	maxMemoryStart  = 230 << 20 // a start holds the Secrets that it listed for a minute
)

func (r *report) add(good bool, what, measured, limit string) {
	r.rows = append(r.rows, row{what, measured, limit, good})
}

func (r *report) exactly(what string, got, want int) {
	r.add(got == want, what, fmt.Sprint(got), fmt.Sprintf("= %d", want))
}

func (r *report) atMost(what string, got, most int) {
	r.add(got <= most, what, fmt.Sprint(got), fmt.Sprintf("<= %d", most))
}

// explain says on standard error what the sums are made of, where something falls short.
func (r *report) explain(phase string, kube kubeCounts) {
	if r.good() {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(kube)) {
		fmt.Fprintf(os.Stderr, "%s: %5d %s\n", phase, kube[key], key)
	}
}

// note is a row without a limit.
func (r *report) note(what, measured string) { r.add(true, what, measured, "") }

func (r *report) good() bool {
	for _, one := range r.rows {
		if !one.good {
			return false
		}
	}
	return true
}

func (r *report) cold(s settings, kube kubeCounts, requests []kongsim.Request, wall time.Duration) {
	writes := 0
	for _, one := range requests {
		if one.Write() {
			writes++
		}
	}
	resources := s.consumers + s.services
	own := kube.of(func(verb, resource string) bool {
		return isWrite(verb) && (strings.HasPrefix(resource, "jwtconsumers") || strings.HasPrefix(resource, "jwtprotectedservices"))
	})
	secrets := kube.of(func(verb, resource string) bool { return isWrite(verb) && resource == "secrets" })
	reads := kube.of(func(verb, resource string) bool { return !isWrite(verb) && resource == "secrets" })
	events := kube.of(func(_, resource string) bool { return resource == "events" })
	r.exactly("cold: writes to Kong, one PUT an entity", writes, s.entities())
	// A service says once that it waits: its plugins have to reach every worker before its routes.
	r.atMost("cold: Kubernetes writes of resources, finalizer and status", own, 2*resources+s.services)
	r.exactly("cold: Kubernetes writes of Secrets, two a credential, and the seed of the seals", secrets, 2*s.consumers+1)
	// Those that are being looked at when the gateway comes up are looked at once more: one a worker, and another
	// where a write is answered late.
	r.atMost("cold: reads of Secrets, two a credential, and some once more", reads, 2*s.consumers+2*2*workers+listsOfSecrets)
	r.atMost("cold: events written, 100 and 5 a second", events, 105+5*int((wall+calmTime).Seconds()))
	r.explain("cold", kube)
}

// compare holds the times against those of the bare clients, before and after.
func (r *report) compare(took operatorResult, before, after bareResult) {
	if r.quick {
		return
	}
	for _, bare := range []bareResult{before, after} {
		r.note("bare clients: time of Kong's requests, of Kubernetes', of both at once",
			fmt.Sprintf("%s, %s, %s", seconds(bare.kong), seconds(bare.kube), seconds(bare.wall)))
	}
	// They are to write the same, and not more.
	r.add(before.written <= took.written, "bare clients: one consumer and its Secrets, against the operator's", fmt.Sprintf("%d B, %.2f", before.written, float64(before.written)/float64(took.written)),
		fmt.Sprintf("<= %d B", took.written))
	ratio := 2 * took.cold.Seconds() / (before.wall + after.wall).Seconds()
	r.add(ratio <= maxWallRatio, "cold: time until all are Ready, against the bare clients", fmt.Sprintf("%s, %.2f", seconds(took.cold), ratio), fmt.Sprintf("<= %.2f", maxWallRatio))
	bare := (before.used.sum() + after.used.sum()).Seconds() / 2
	r.note("bare clients: seconds of processors: their own, the kube-apiserver's and etcd's, Kong's", before.used.text())
	r.note("bare clients: seconds of processors: their own, the kube-apiserver's and etcd's, Kong's", after.used.text())
	r.note("cold: seconds of processors: the operator's, the kube-apiserver's and etcd's, Kong's", took.used.text())
	r.note("cold: seconds of processors, all together, against the bare clients",
		fmt.Sprintf("%s, %.2f", seconds(took.used.sum()), took.used.sum().Seconds()/bare))
}

func (c cpu) text() string {
	return fmt.Sprintf("%s, %s, %s", seconds(c.client), seconds(c.kube), seconds(c.kong))
}

// half and most are the shares of the changes that a figure is not above for.
const half, most = 0.5, 0.99

// change holds each change against the bare PUT just before it: a machine is not always equally fast.
func (r *report) change(took, puts []time.Duration, ratios []float64) {
	if r.quick {
		return
	}
	r.note("change: one bare PUT, median", milliseconds(at(half, puts)))
	r.note(
		"change: from Kubernetes' answer to Kong's, median, and median of the ratios to the bare PUT before each",
		fmt.Sprintf("%s, %.2f", milliseconds(at(half, took)), at(half, ratios)))
	r.note("change: the same, of 99 in 100", fmt.Sprintf("%s, %.2f", milliseconds(at(most, took)), at(most, ratios)))
}

// workers that the operator has for a kind, by default.
const workers = 64

// listsOfSecrets are the lists that the watch of Secrets' metadata begins with, and again where the server asks for
// it.
const listsOfSecrets = 10

// restartRequests are what an operator may ask of Kubernetes when it starts, watches included, with up to 10,000
// consumers.
const restartRequests = 100

func (r *report) memory(s settings, empty, now, highest int64) {
	if s.countsOnly() {
		return
	}
	r.note("memory: resident without any resource", mebibytes(empty))
	// The limit is for 10,000 and what there is without one.
	r.add(now <= maxMemory, "memory: resident after the cold start", mebibytes(now), "<= "+mebibytes(maxMemory))
	r.note("memory: highest during the cold start", mebibytes(highest))
	r.note("memory: growth a 1,000 consumers", mebibytes((now-empty)*1000/int64(s.consumers)))
}

func (r *report) idle(s settings, kube kubeCounts, requests []kongsim.Request) {
	heartbeats := 0
	for _, one := range requests {
		if isHeartbeat(one) {
			heartbeats++
		}
	}
	r.note(fmt.Sprintf("idle: heartbeats in %s", s.idleTime()), fmt.Sprint(heartbeats))
	r.exactly("idle: requests to Kong beside them", len(requests)-heartbeats, 0)
	r.exactly("idle: requests to Kubernetes but watches", kube.of(func(string, string) bool { return true }), 0)
}

func (r *report) driftCheck(s settings, kube kubeCounts, requests []kongsim.Request) {
	others := 0
	for _, one := range requests {
		if !isHeartbeat(one) && !isListing(one) {
			others++
		}
	}
	r.atMost("drift check: requests to Kong, pages of 1000", listings(requests), s.pages())
	r.exactly("drift check: requests to Kong beside them and the heartbeat", others, 0)
	r.exactly("drift check: requests to Kubernetes but watches", kube.of(func(string, string) bool { return true }), 0)
}

// pages is how many requests list all entities: one a started thousand of each kind, and the node's. A consumer is in
// two groups: its own, and its namespace's.
func (s settings) pages() int {
	pages := 1
	for _, count := range []int{s.consumers, s.consumers, 2 * s.consumers, s.services, s.services, routesPerService * s.services} {
		pages += max(1, (count+999)/1000)
	}
	return pages
}

func (r *report) restart(s settings, kube kubeCounts, requests []kongsim.Request, wall time.Duration, now, highest int64) {
	writes, pages := 0, 0
	for _, one := range requests {
		if one.Write() {
			writes++
		}
		if isListing(one) {
			pages++
		}
	}
	r.exactly("restart: writes to Kong", writes, 0)
	r.exactly("restart: writes to Kubernetes", kube.of(func(verb, _ string) bool { return isWrite(verb) }), 0)
	r.explain("restart", kube)
	r.note("restart: requests that list what Kong holds", fmt.Sprint(pages))
	reads := kube.of(func(verb, resource string) bool { return !isWrite(verb) && resource == "secrets" })
	// Pages of two Secrets a consumer. What is looked at while Kong is not listed yet is looked at once more, and
	// read by itself then.
	r.atMost("restart: requests that read Secrets, pages of 1000", reads, 2*s.consumers/1000+workers+listsOfSecrets)
	if s.countsOnly() {
		return
	}
	r.atMost("restart: requests to Kubernetes, all together", kube.of(func(string, string) bool { return true }), restartRequests)
	r.note("restart: time until all was looked at", seconds(wall))
	r.add(now <= maxMemoryStart, "restart: resident, now and at its highest", mebibytes(now)+", "+mebibytes(highest), "<= "+mebibytes(maxMemoryStart))
}

// reading holds a restart and memory against a program that reads the same and keeps controller-runtime's cache of it.
func (r *report) reading(took operatorResult, empty int64, all time.Duration, cached int64) {
	ratio := took.restart.Seconds() / all.Seconds()
	r.add(ratio <= maxReadingRatio, "restart: against a program that reads the same, and that is all",
		fmt.Sprintf("%s, %.2f", seconds(all), ratio), fmt.Sprintf("<= %.2f", maxReadingRatio))
	ratio = float64(took.resident-empty) / float64(cached)
	r.add(ratio <= maxCacheRatio, "memory: growth a 1,000 consumers, of a program with controller-runtime's cache of the same, and nothing of Kong's",
		fmt.Sprintf("%s, %.2f", mebibytes(cached*1000/int64(r.consumers)), ratio), fmt.Sprintf("<= %.2f", maxCacheRatio))
}

// following holds a change against a program that follows changes and does what they ask for.
func (r *report) following(took operatorResult, changes []time.Duration) {
	for _, one := range []struct {
		what           string
		operator, bare time.Duration
		limit          float64
	}{
		{"median", took.change, at(half, changes), maxFollowRatio},
		{"of 99 in 100", took.rareChange, at(most, changes), maxRareRatio},
	} {
		ratio := one.operator.Seconds() / one.bare.Seconds()
		r.add(ratio <= one.limit, "change: against a program that follows it, reads the two Secrets and sends the PUT, "+one.what,
			fmt.Sprintf("%s, %.2f", milliseconds(one.bare), ratio), fmt.Sprintf("<= %.2f", one.limit))
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// where says what was measured on.
func (r *report) where() string {
	return fmt.Sprintf("%d consumers, %d services; %s", r.consumers, r.services, r.machine())
}

func (r *report) machine() string {
	gateway := "simulated Kong, " + serviceTime + " a request and " + maxRate + " a second at most"
	if r.adminURL != "" {
		gateway = "the Kong of KONG_ADMIN_URL"
	}
	return fmt.Sprintf("concurrency %d; %s; %d CPUs", r.concurrency, gateway, runtime.NumCPU())
}

func (r *report) text() string {
	var text strings.Builder
	fmt.Fprintln(&text, r.where())
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "what\tmeasured\tlimit\t")
	for _, one := range r.rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.what, one.measured, one.limit, verdict(one))
	}
	_ = table.Flush() // a strings.Builder takes everything
	return text.String()
}

func verdict(one row) string {
	switch {
	case one.limit == "":
		return ""
	case one.good:
		return "ok"
	default:
		return "FALLS SHORT"
	}
}

// writeInto replaces the table of a file.
func (r *report) writeInto(path string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Measured %s: %s.\n\n| What | Measured | Limit | |\n|---|---|---|---|\n", time.Now().Format(time.DateOnly), r.where())
	for _, one := range r.rows {
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", one.what, one.measured, strings.ReplaceAll(one.limit, "<=", "≤"), verdict(one))
	}
	return page.WriteTable(path, "bench", table.String())
}
