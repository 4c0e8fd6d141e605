package kongsim

import (
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/schema"
)

// priorities are those of the plugins' handlers, each kong/plugins/NAME/handler.lua.
var priorities = map[string]int{
	"acl": 950, "basic-auth": 1100, "bot-detection": 2500, "correlation-id": 100001, "cors": 2000, "file-log": 9, "hmac-auth": 1030,
	"http-log": 12, "ip-restriction": 990, "jwt": 1450, "key-auth": 1250, "ldap-auth": 1200, "post-function": -1000,
	"pre-function": 1000000, "prometheus": 13, "rate-limiting": 910, "redirect": 779, "request-size-limiting": 951,
	"request-termination": 2, "request-transformer": 801, "response-ratelimiting": 900, "response-transformer": 800,
	"session": 1900, "standard-webhooks": 760, "syslog": 4, "tcp-log": 7, "udp-log": 8,
}

// node serves GET /.
func (a *admin) node(*call) (*answer, *failed) {
	available := object{}
	for _, name := range a.library.Plugins() {
		available[name] = object{"version": a.options.Version, "priority": priorities[name]}
	}
	enabled := []string{}
	for _, row := range a.store.all(kinds["plugins"]) {
		if name := textOf(row, "name"); !slices.Contains(enabled, name) {
			enabled = append(enabled, name)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	edition := "community"
	if a.version.AtLeast(kong314) {
		edition = "enterprise"
	}
	workers := []int{}
	for i := range a.options.Workers {
		workers = append(workers, firstWorker+i)
	}
	return ok(object{
		"tagline": "Welcome to kong", "version": a.options.Version, "edition": edition, "node_id": a.nodeID, "hostname": host,
		"lua_version": "LuaJIT 2.1.0-20231117", "timers": object{"pending": 0, "running": 0},
		"pids":          object{"master": firstWorker - 1, "workers": workers},
		"plugins":       object{"available_on_server": available, "enabled_in_cluster": enabled},
		"configuration": a.configuration(),
	})
}

// firstWorker is the process id of the first worker: one that is made up.
const firstWorker = 1001

// configuration is kong.conf as GET / shows it, as far as an operator of Kong may ask for it.
func (a *admin) configuration() object {
	loaded := object{}
	for _, name := range a.library.Plugins() {
		loaded[name] = true
	}
	return object{
		"database": a.options.Database, "role": a.options.role(), "router_flavor": "traditional_compatible",
		"worker_consistency": "eventual", "worker_state_update_frequency": a.options.WorkerStateUpdateFrequency.Seconds(),
		"db_update_frequency": a.options.DBUpdateFrequency.Seconds(), "db_update_propagation": a.options.DBUpdatePropagation.Seconds(), "db_cache_ttl": 0,
		"tls_certificate_verify": a.options.TLSCertificateVerify, "untrusted_lua": a.options.UntrustedLua,
		"plugins": []string{"bundled"}, "loaded_plugins": loaded,
		"nginx_admin_client_max_body_size": nginxSize(a.options.MaxBodyBytes), "nginx_worker_processes": "auto",
		"admin_listen": []string{a.options.AdminAddress}, "proxy_listen": []string{a.options.ProxyAddress},
	}
}

// nginxSize writes a size as nginx has it.
func nginxSize(bytes int64) string {
	if bytes%(1<<20) == 0 {
		return fmt.Sprintf("%dm", bytes>>20)
	}
	return fmt.Sprint(bytes)
}

// sharedMemory is what a node sets aside, by name.
var sharedMemory = map[string]string{
	"kong": "5.00 MiB", "kong_cluster_events": "5.00 MiB", "kong_core_db_cache": "128.00 MiB", "kong_core_db_cache_miss": "12.00 MiB",
	"kong_db_cache": "128.00 MiB", "kong_db_cache_miss": "12.00 MiB", "kong_healthchecks": "5.00 MiB", "kong_locks": "8.00 MiB",
	"kong_rate_limiting_counters": "12.00 MiB", "kong_secrets": "5.00 MiB", "prometheus_metrics": "5.00 MiB",
}

// status serves GET /status. Its numbers are made up.
func (a *admin) status(*call) (*answer, *failed) {
	shared := object{}
	for name, capacity := range sharedMemory {
		shared[name] = object{"allocated_slabs": "0.04 MiB", "capacity": capacity}
	}
	workers := []any{}
	for i := range a.options.Workers {
		workers = append(workers, object{"http_allocated_gc": "47.49 MiB", "pid": firstWorker + i})
	}
	body := object{
		"memory": object{"lua_shared_dicts": shared, "workers_lua_vms": workers},
		"server": object{
			"connections_accepted": 1, "connections_active": 1, "connections_handled": 1, "connections_reading": 0,
			"connections_waiting": 0, "connections_writing": 1, "total_requests": 1,
		},
	}
	if a.readOnly {
		body["configuration_hash"] = a.config.hash()
	} else {
		body["database"] = object{"reachable": !a.options.faults.databaseDown()}
	}
	return ok(body)
}

func (a *admin) enabledPlugins(*call) (*answer, *failed) {
	return ok(object{"enabled_plugins": a.library.Plugins()})
}

// schemas serves GET /schemas/NAME and GET /schemas/plugins/NAME.
func (a *admin) schemas(c *call) (*answer, *failed) {
	name := c.segments[1]
	if len(c.segments) == 2 {
		if shown := a.library.Served(name); shown != nil {
			return ok(shown)
		}
		return nil, message(http.StatusNotFound, "No entity named '"+name+"'")
	}
	if name != "plugins" {
		return nil, notFound()
	}
	if shown := a.library.Served("plugins/" + c.segments[2]); shown != nil {
		return ok(shown)
	}
	return nil, message(http.StatusNotFound, "No plugin named '"+c.segments[2]+"'")
}

// validateOnly serves POST /schemas/NAME/validate.
func (a *admin) validateOnly(c *call) (*answer, *failed) {
	k := kinds[c.segments[1]]
	if k == nil {
		return nil, message(http.StatusNotFound, "No entity named '"+c.segments[1]+"'")
	}
	input, problem := a.readWith(c, k, nil)
	if problem != nil {
		return nil, problem
	}
	record := a.library.Entities[k.name]
	row, wrong := record.Fill(input, schema.Inserting, a.store.now())
	if len(wrong) == 0 {
		wrong = record.Validate(row, true)
	}
	if len(wrong) > 0 {
		return nil, schemaViolation(wrong)
	}
	return ok(object{"message": "schema validation successful"})
}
