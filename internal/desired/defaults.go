package desired

// What a spec leaves out is sent as Kong 3.9's defaults (kong/db/schema/entities, kong/plugins/*/schema.lua), and not
// left to the Kong at hand: 3.14 makes a route that names no protocols https-only at its next write, and a default
// that changed would be a write of each entity. Fields without a default are left out.
var (
	serviceDefaults = map[string]any{
		"retries": 5, "connect_timeout": 60000, "read_timeout": 60000, "write_timeout": 60000, "enabled": true,
	}
	routeDefaults = map[string]any{
		"protocols": []string{"http", "https"}, "strip_path": true, "preserve_host": false, "regex_priority": 0, "path_handling": "v0",
		"https_redirect_status_code": 426, "request_buffering": true, "response_buffering": true,
	}
	// guardProtocols are those of the plugins that have fields of their own.
	guardProtocols = []string{"grpc", "grpcs", "http", "https"}
	jwtDefaults    = map[string]any{
		"uri_param_names": []string{"jwt"}, "cookie_names": []string{}, "header_names": []string{"authorization"}, "key_claim_name": "iss",
		"secret_is_base64": false, "run_on_preflight": true, "maximum_expiration": 0,
	}
	rateLimitDefaults = map[string]any{
		"limit_by": "consumer", "policy": "local", "fault_tolerant": true, "hide_client_headers": false,
	}
	redisDefaults     = map[string]any{"port": 6379, "timeout": 2000}
	flatRedisDefaults = map[string]any{"redis_port": 6379, "redis_timeout": 2000}
)

// withDefaults adds to fields what is missing of the defaults.
func withDefaults(fields, defaults map[string]any) map[string]any {
	for name, value := range defaults {
		if _, set := fields[name]; !set {
			fields[name] = value
		}
	}
	return fields
}
