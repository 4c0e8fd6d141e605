package pluginconfig

import (
	"maps"
	"strings"
	"time"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// RedisForm is how a version of Kong writes the Redis server of a rate-limiting plugin.
type RedisForm int

const (
	// RedisRecord is config.redis.host and its like: Kong 3.6 and newer.
	RedisRecord RedisForm = iota
	// RedisFlat is config.redis_host and its like: Kong up to 3.5. Newer ones take it as a deprecated form.
	RedisFlat
)

const redisPrefix = "redis_"

// RateLimiting is the configuration of a rate-limiting plugin (kong/plugins/rate-limiting/schema.lua).
type RateLimiting struct {
	Second *float64 `json:"second"`
	Minute *float64 `json:"minute"`
	Hour   *float64 `json:"hour"`
	Day    *float64 `json:"day"`
	Month  *float64 `json:"month"`
	Year   *float64 `json:"year"`
	// LimitBy is consumer, credential, ip, service, header or path.
	LimitBy    string `json:"limit_by"`
	HeaderName string `json:"header_name"`
	Path       string `json:"path"`
	// Policy is local, cluster or redis.
	Policy            string  `json:"policy"`
	FaultTolerant     bool    `json:"fault_tolerant"`
	HideClientHeaders bool    `json:"hide_client_headers"`
	ErrorCode         float64 `json:"error_code"`
	ErrorMessage      string  `json:"error_message"`
	// SyncRate is how often counters go to Redis, in seconds; -1 for each request.
	SyncRate float64 `json:"sync_rate"`
	Redis    Redis   `json:"redis"`
}

// Redis is the server that a rate-limiting plugin of policy redis counts in. Its password is left out.
type Redis struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
	Database int    `json:"database"`
	// Timeout in milliseconds.
	Timeout    float64 `json:"timeout"`
	SSL        bool    `json:"ssl"`
	SSLVerify  bool    `json:"ssl_verify"`
	ServerName string  `json:"server_name"`
}

// Window is one limit of a rate-limiting plugin.
type Window struct {
	// Name is second, minute, hour, day, month or year.
	Name  string
	Limit float64
}

// Windows are the limits that are set, from the shortest.
func (r RateLimiting) Windows() []Window {
	var windows []Window
	for _, w := range []struct {
		name  string
		limit *float64
	}{{"second", r.Second}, {"minute", r.Minute}, {"hour", r.Hour}, {"day", r.Day}, {"month", r.Month}, {"year", r.Year}} {
		if w.limit != nil {
			windows = append(windows, Window{Name: w.name, Limit: *w.limit})
		}
	}
	return windows
}

var rateLimitDefaults = jsonObject(RateLimiting{
	LimitBy: "consumer", Policy: "local", FaultTolerant: true,
	ErrorCode: 429, ErrorMessage: "API rate limit exceeded", SyncRate: -1,
	Redis: Redis{Port: 6379, Timeout: 2000},
})

var redisDefaults = jsonObject(rateLimitDefaults["redis"])

var rateLimitOptions = []option[v1alpha1.RateLimit]{
	optional("second", func(s *v1alpha1.RateLimit) **int32 { return &s.Second }),
	optional("minute", func(s *v1alpha1.RateLimit) **int32 { return &s.Minute }),
	optional("hour", func(s *v1alpha1.RateLimit) **int32 { return &s.Hour }),
	optional("day", func(s *v1alpha1.RateLimit) **int32 { return &s.Day }),
	optional("month", func(s *v1alpha1.RateLimit) **int32 { return &s.Month }),
	optional("year", func(s *v1alpha1.RateLimit) **int32 { return &s.Year }),
	plain("limit_by", func(s *v1alpha1.RateLimit) *v1alpha1.LimitBy { return &s.LimitBy }),
	plain("policy", func(s *v1alpha1.RateLimit) *v1alpha1.RateLimitPolicy { return &s.Policy }),
	optional("fault_tolerant", func(s *v1alpha1.RateLimit) **bool { return &s.FaultTolerant }),
	optional("hide_client_headers", func(s *v1alpha1.RateLimit) **bool { return &s.HideClientHeaders }),
}

var redisOptions = []option[v1alpha1.RedisServer]{
	plain("host", func(s *v1alpha1.RedisServer) *string { return &s.Host }),
	plain("port", func(s *v1alpha1.RedisServer) *int32 { return &s.Port }),
	always("database", func(s *v1alpha1.RedisServer) *int32 { return &s.Database }),
	plain("username", func(s *v1alpha1.RedisServer) *string { return &s.Username }),
	always("ssl", func(s *v1alpha1.RedisServer) *bool { return &s.SSL }),
	always("ssl_verify", func(s *v1alpha1.RedisServer) *bool { return &s.SSLVerify }),
	plain("server_name", func(s *v1alpha1.RedisServer) *string { return &s.ServerName }),
	duration("timeout", time.Millisecond, func(s *v1alpha1.RedisServer) *v1alpha1.Duration { return &s.Timeout }),
}

// rateLimitReasons say why options of the rate-limiting plugin have no field.
var rateLimitReasons = map[string]string{
	"limit_by":      "requests are counted by consumer, credential, ip or service",
	"header_name":   "requests are not counted by a header, which the caller chooses",
	"path":          "requests are not counted by a path",
	"error_code":    "a caller over the limit gets 429 (RFC 6585)",
	"error_message": "a caller over the limit gets Kong's own message",
	"sync_rate":     "each request is counted in Redis at once",
}

// redisReasons say why options of the Redis server have no field.
var redisReasons = map[string]string{
	"password": "a password belongs in a Secret that policy.redis of the KongGateway names",
}

// EncodeRateLimit makes the configuration of a rate-limiting plugin. server is what spec.redis names, nil for none,
// and password the content of its passwordSecretRef, empty for none.
func EncodeRateLimit(spec v1alpha1.RateLimit, server *v1alpha1.RedisServer, password string, form RedisForm) map[string]any {
	config := encode(rateLimitOptions, &spec)
	if server == nil {
		return config
	}
	redis := encode(redisOptions, server)
	if password != "" {
		redis["password"] = password
	}
	if form == RedisRecord {
		config["redis"] = redis
		return config
	}
	for name, value := range redis {
		config[redisPrefix+name] = value
	}
	return config
}

// DecodeRateLimit reads the configuration of a rate-limiting plugin, in whichever form of Redis, and gives what the
// spec does not say of it. server is what policy redis counts in; it has no name, and so has spec.redis.
func DecodeRateLimit(config map[string]any) (spec v1alpha1.RateLimit, server *v1alpha1.RedisServer, dropped []Dropped) {
	config, given := splitRedis(jsonObject(config))
	decode(rateLimitOptions, config, rateLimitDefaults, &spec)
	switch spec.LimitBy {
	case "header", "path":
		spec.LimitBy = ""
	}
	dropped = compare(config, EncodeRateLimit(spec, nil, "", RedisRecord), rateLimitDefaults, rateLimitReasons)
	var redis v1alpha1.RedisServer
	if spec.Policy == v1alpha1.RateLimitByRedis {
		decode(redisOptions, given, redisDefaults, &redis)
		server = &redis
	}
	for _, d := range compare(given, encode(redisOptions, &redis), redisDefaults, redisReasons) {
		if server == nil {
			d.Reason = "spec.rateLimit.redis goes with policy: redis"
		}
		dropped = append(dropped, Dropped{Option: "redis." + d.Option, Reason: d.Reason})
	}
	return spec, server, dropped
}

// splitRedis takes the Redis server out of a configuration. Kong from 3.6 on answers with both forms, and the
// record's values go first.
func splitRedis(config map[string]any) (rest, redis map[string]any) {
	rest, redis = map[string]any{}, map[string]any{}
	for name, value := range config {
		switch flat, isFlat := strings.CutPrefix(name, redisPrefix); {
		case isFlat:
			redis[flat] = value
		case name != "redis":
			rest[name] = value
		}
	}
	record := jsonObject(config["redis"])
	maps.DeleteFunc(record, func(name string, value any) bool { return value == nil && redis[name] != nil })
	maps.Copy(redis, record)
	return rest, redis
}

// RateLimitSettings is what a rate-limiting plugin with a configuration does.
func RateLimitSettings(config map[string]any) (RateLimiting, error) {
	rest, redis := splitRedis(jsonObject(config))
	server := maps.Clone(redisDefaults)
	maps.Copy(server, redis)
	rest["redis"] = server
	return settings[RateLimiting](rest, rateLimitDefaults)
}
