package kong

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Node is what a Kong node says of itself (GET /).
type Node struct {
	// NodeID is the node's own id; it changes when the node is replaced.
	NodeID string
	// Version is Kong's, as it is: "3.9.3", "3.9.1.1".
	Version string
	// Edition is "community" or "enterprise"; empty where an old Kong does not say.
	Edition string
	// Database is "postgres", or "off" for a DB-less node.
	Database string
	// RouterFlavor is "traditional", "traditional_compatible" or "expressions"; empty before Kong 3.0.
	RouterFlavor string
	// WorkerConsistency is "eventual" or "strict".
	WorkerConsistency string
	// DBUpdateFrequency is how often nodes ask the database for changes of other nodes.
	DBUpdateFrequency time.Duration
	// DBUpdatePropagation is how long other nodes wait with a change that they heard of: as long as read replicas
	// of the database may be behind (kong/cluster_events/init.lua).
	DBUpdatePropagation time.Duration
	// WorkerStateUpdateFrequency is how often each worker rebuilds its router and its plugins.
	WorkerStateUpdateFrequency time.Duration
	// MaxBody is the longest request body that the Admin API takes, in bytes; zero where it has no limit, or does
	// not say.
	MaxBody int64
	// Plugins are the plugins that the node can run, by name.
	Plugins map[string]bool
	// TLSCertificateVerify tells that upstreams are always verified (Kong 3.14 or newer).
	TLSCertificateVerify bool
	// UntrustedLua is "sandbox", "on" or "off"; empty where the node does not say.
	UntrustedLua string
}

// Status is the node's health (GET /status).
type Status struct {
	// DatabaseReachable is false while the node's database is away. Without a database it is true.
	DatabaseReachable bool
	// ConfigurationHash names the configuration that a DB-less node runs; empty with a database.
	ConfigurationHash string
}

// The kinds of request that are not about an entity, as an Observation tells them.
const (
	kindNode   Kind = "node"
	kindStatus Kind = "status"
	kindSchema Kind = "schemas"
)

// Node asks the node what it is.
func (c *Client) Node(ctx context.Context) (Node, error) {
	call := call{method: http.MethodGet, kind: kindNode, template: "/", path: "/"}
	var root struct {
		NodeID        string `json:"node_id"`
		Version       string `json:"version"`
		Edition       string `json:"edition"`
		Configuration struct {
			Database                   string  `json:"database"`
			RouterFlavor               string  `json:"router_flavor"`
			WorkerConsistency          string  `json:"worker_consistency"`
			TLSCertificateVerify       bool    `json:"tls_certificate_verify"`
			UntrustedLua               string  `json:"untrusted_lua"`
			DBUpdateFrequency          float64 `json:"db_update_frequency"`
			DBUpdatePropagation        float64 `json:"db_update_propagation"`
			WorkerStateUpdateFrequency float64 `json:"worker_state_update_frequency"`
			MaxBody                    any     `json:"nginx_admin_client_max_body_size"`
		} `json:"configuration"`
		Plugins struct {
			Available map[string]any `json:"available_on_server"`
		} `json:"plugins"`
	}
	if err := c.do(ctx, call, nil, &root); err != nil {
		return Node{}, err
	}
	if root.Version == "" {
		return Node{}, &UnavailableError{Request: call.request(http.StatusOK), Cause: CauseNotKong}
	}
	node := Node{
		NodeID:                     root.NodeID,
		Version:                    root.Version,
		Edition:                    root.Edition,
		Database:                   root.Configuration.Database,
		RouterFlavor:               root.Configuration.RouterFlavor,
		WorkerConsistency:          root.Configuration.WorkerConsistency,
		TLSCertificateVerify:       root.Configuration.TLSCertificateVerify,
		UntrustedLua:               root.Configuration.UntrustedLua,
		DBUpdateFrequency:          seconds(root.Configuration.DBUpdateFrequency),
		DBUpdatePropagation:        seconds(root.Configuration.DBUpdatePropagation),
		WorkerStateUpdateFrequency: seconds(root.Configuration.WorkerStateUpdateFrequency),
		MaxBody:                    nginxSize(root.Configuration.MaxBody),
		Plugins:                    make(map[string]bool, len(root.Plugins.Available)),
	}
	for name, about := range root.Plugins.Available {
		// true before Kong 3.0, an object with version and priority since.
		if about != nil && about != false {
			node.Plugins[name] = true
		}
	}
	return node, nil
}

// nginxSize reads a size as nginx has it: "10m", "512k", "0" (https://nginx.org/en/docs/syntax.html). Zero where it is
// none.
func nginxSize(value any) int64 {
	text := strings.ToLower(fmt.Sprint(value))
	shift := map[string]int{"k": 10, "m": 20, "g": 30}
	unit := text[max(len(text)-1, 0):]
	number, err := strconv.ParseInt(strings.TrimRight(text, "kmg"), 10, 32)
	if err != nil {
		return 0
	}
	return number << shift[unit]
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// Status asks the node how it is. It answers while its database is away.
func (c *Client) Status(ctx context.Context) (Status, error) {
	call := call{method: http.MethodGet, kind: kindStatus, template: "/status", path: "/status"}
	var body struct {
		Database *struct {
			Reachable bool `json:"reachable"`
		} `json:"database"`
		ConfigurationHash string          `json:"configuration_hash"`
		Server            *map[string]any `json:"server"`
	}
	if err := c.do(ctx, call, nil, &body); err != nil {
		return Status{}, err
	}
	if body.Database == nil && body.Server == nil {
		return Status{}, &UnavailableError{Request: call.request(http.StatusOK), Cause: CauseNotKong}
	}
	return Status{
		DatabaseReachable: body.Database == nil || body.Database.Reachable,
		ConfigurationHash: body.ConfigurationHash,
	}, nil
}

// Clock asks what time it is on the node: the Date of its answer, in whole seconds (RFC 9110, section 6.6.1).
func (c *Client) Clock(ctx context.Context) (time.Time, error) {
	call := call{method: http.MethodGet, kind: kindStatus, template: "/status", path: "/status"}
	got, err := c.send(ctx, call, nil)
	if err != nil {
		return time.Time{}, err
	}
	now, err := http.ParseTime(got.header.Get("Date"))
	if err != nil { // what net/http says quotes the answer
		return time.Time{}, &UnavailableError{Request: call.request(got.status), Cause: CauseNotKong}
	}
	return now, nil
}
