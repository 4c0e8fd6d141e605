package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

const aUUID = "00000000-0000-4000-8000-00000000000a"

func theLibrary(t interface{ Fatal(...any) }) *Library {
	l, err := Load(false, kong.ParseVersion("3.9.3"), Changes{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// violationsOf fills and validates an entity as an insert would.
func violationsOf(t *testing.T, kind, input string) Violations {
	t.Helper()
	var entity object
	if err := json.Unmarshal([]byte(input), &entity); err != nil {
		t.Fatal(err)
	}
	schema := theLibrary(t).Entities[kind]
	row, wrong := schema.Fill(entity, Inserting, time.Unix(1, 0))
	if len(wrong) == 0 {
		wrong = schema.Validate(row, true)
	}
	return wrong
}

// TestRoutesOfFormerVersions: as a real Kong 3.4.2 did, and as read in the source of 3.6 and 3.7.
func TestRoutesOfFormerVersions(t *testing.T) {
	const wildcard, expression = `{"snis":["*.example.com"]}`, `{"paths":["/a"],"headers":{"x":["~*["]}}`
	for _, tt := range []struct{ version, input, want string }{
		{"3.4.2", wildcard, "(snis.1: invalid value: *.example.com)"},
		{"3.6.1", wildcard, "(snis.1: invalid value: *.example.com)"},
		{"3.7.1", wildcard, ""},
		{"3.4.2", `{"snis":["one.example.com"]}`, ""},
		{"3.4.2", expression, ""},
		{"3.4.2", `{"paths":["~/a(?!b)"]}`, `(Router Expression failed validation: regex parse error: "/a(?!b)")`},
		{"3.6.1", expression, `(Router Expression failed validation: regex parse error: "[")`},
	} {
		library, err := Load(false, kong.ParseVersion(tt.version), Changes{})
		if err != nil {
			t.Fatal(err)
		}
		var entity object
		if err := json.Unmarshal([]byte(tt.input), &entity); err != nil {
			t.Fatal(err)
		}
		entity["protocols"] = []any{"https"}
		row, wrong := library.Entities["routes"].Fill(entity, Inserting, time.Unix(1, 0))
		if len(wrong) == 0 {
			wrong = library.Entities["routes"].Validate(row, true)
		}
		got := ""
		if len(wrong) > 0 {
			got = strings.TrimPrefix(ViolationMessage(wrong), "schema violation ")
		}
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.version, tt.input, got, tt.want)
		}
	}
}

// TestValidation has what the recordings do not have, as read in Kong's source.
func TestValidation(t *testing.T) {
	const g = "'grpc' or 'grpcs'"
	tests := []struct {
		kind, input string
		want        string // the message, without "schema violation"
	}{
		{"services", `{"host":"h","name":"a.b-c_d~é"}`, ""},
		{"services", `{"host":"h","name":""}`, "(name: length must be at least 1)"},
		{"services", `{"host":"h:80"}`, "(host: must not have a port)"},
		{"services", `{"host":"a..b"}`, "(host: invalid value: a..b)"},
		{"services", `{"host":"a-.b"}`, "(host: invalid value: a-.b)"},
		{"services", `{"host":"::1"}`, ""},
		{"services", `{"host":"300.1.1.1"}`, "(host: invalid value: 300.1.1.1)"},
		{"services", `{"host":"h","path":"/a//b"}`, "(path: must not have empty segments)"},
		{"services", `{"host":"h","path":"/a b"}`, "(path: invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found))"},
		{"services", `{"host":"h","path":"/%zz"}`, "(path: invalid url-encoded value: '%zz')"},
		{"services", `{"host":"h","tls_verify":true}`, "2(failed conditional validation given value of field 'protocol'; tls_verify: value must be null)"},
		{"services", `{"host":"h","protocol":"https","tls_verify":true}`, ""},
		{"services", `{"host":"h","protocol":"grpc","path":"/x"}`, "2(failed conditional validation given value of field 'protocol'; path: value must be null)"},
		{"services", `{"host":"h","connect_timeout":0}`, "(connect_timeout: value should be between 1 and 2147483646)"},
		{"services", `{"host":"h","enabled":null}`, "(enabled: required field missing)"},
		{"services", `{"host":"h","tags":"a"}`, "(tags: expected a set)"},
		{"services", `{"host":"h","tags":["ok",""]}`, "(tags.2: length must be at least 1)"},
		{"services", `{"host":"h","id":"x"}`, "(id: expected a valid UUID)"},
		{"services", `{"url":"nothing"}`, "2(host: required field missing; path: should start with: /)"},
		{"services", `{"url":"http://h:"}`, "(port: expected an integer)"},
		{"services", `{"url":"http://h:p"}`, "(port: expected an integer)"},
		{"services", `{"url":1}`, "(url: expected a string)"},
		{"routes", `{"paths":["/a/../b"]}`, "(paths.1: non-normalized path, consider use '/b' instead)"},
		{"routes", `{"paths":["/ok","~/a(b"]}`, `(paths.2: invalid regex: '/a(b' (PCRE returned: pcre2_compile() failed: missing closing parenthesis in "/a(b"))`},
		{"routes", `{"paths":["~/(?<x>a)(?<x>b)"]}`, `(paths.1: invalid regex: '/(?<x>a)(?<x>b)' (PCRE returned: pcre2_compile() failed: two named subpatterns have the same name (PCRE2_DUPNAMES not set) in "/(?<x>a)(?<x>b)" at "b)"))`},
		{"routes", `{"paths":["~/a\\/b"]}`, `(Router Expression failed validation: regex parse error: "/a\\/b")`},
		{"routes", `{"paths":["~/a\\-\\~\\#\\&\\.b"]}`, ""},
		{"routes", `{"paths":["/a"],"headers":{"x":[]}}`, "(Router Expression failed validation: expected term)"},
		{"routes", `{"paths":["~/a(?!b)"]}`, `(Router Expression failed validation: regex parse error: "/a(?!b)")`},
		{"routes", `{"paths":["/a"],"headers":{"x":["b","~*["]}}`, `(Router Expression failed validation: regex parse error: "[")`},
		{"routes", `{"paths":["/a"],"headers":{"x":["[","~*^v[12]$"]}}`, ""},
		{"routes", `{"hosts":["*.example.com","example.*","h:8000"]}`, ""},
		{"routes", `{"hosts":["a*b.com"]}`, "(hosts.1: invalid wildcard: must be placed at leftmost or rightmost label)"},
		{"routes", `{"methods":["GET"]}`, ""},
		{"routes", `{"snis":["*.example.com"]}`, ""},
		{"routes", `{"snis":["1.2.3.4"]}`, "(snis.1: must not be an IP)"},
		{"routes", `{"headers":{"x y":["1"]}}`, "(headers: bad header name 'x y', allowed characters are A-Z, a-z, 0-9, '_', and '-')"},
		{"routes", `{"headers":{"x":"1"}}`, "(headers: expected an array)"},
		{"routes", `{"protocols":["http"]}`, "(must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http')"},
		{"routes", `{"protocols":["grpc"]}`, "(must set one of 'hosts', 'headers', 'paths' when 'protocols' is 'grpc')"},
		{"routes", `{"protocols":["grpcs"],"hosts":["h"],"strip_path":true}`, "(strip_path: cannot set 'strip_path' when 'protocols' is " + g + ")"},
		{"routes", `{"protocols":["tcp"],"paths":["/"]}`, "2(must set one of 'sources', 'destinations', 'snis' when 'protocols' is 'tcp', 'tls' or 'udp'; paths: cannot set 'paths' when 'protocols' is 'tcp', 'tls', 'tls_passthrough' or 'udp')"},
		{"routes", `{"paths":["/"],"sources":[{"ip":"1.2.3.4"}]}`, "(sources: cannot set 'sources' when 'protocols' is 'http' or 'https')"},
		{"routes", `{"protocols":["tcp"],"sources":[{}]}`, "(sources.1: {\n  [\"@entity\"] = {\n    \"at least one of these fields must be non-empty: 'ip', 'port'\"\n  }\n})"},
		{"routes", `{"protocols":[]}`, "(protocols: unknown type: nil)"},
		{"routes", `{"protocols":null}`, "(protocols: required field missing)"},
		{"routes", `{"paths":["/"],"service":{"id":"x"}}`, "(service.id: expected a valid UUID)"},
		{"routes", `{"paths":["/"],"service":"s"}`, "(service.id: missing primary key)"},
		{"routes", `{"paths":["/"],"regex_priority":1.5}`, "(regex_priority: expected an integer)"},
		{"plugins", `{"name":"jwt","instance_name":"a b"}`, "(instance_name: invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~)"},
		{"plugins", `{"name":"jwt","protocols":["tcp"]}`, "(protocols.1: expected one of: grpc, grpcs, http, https)"},
		{"plugins", `{"name":"prometheus","protocols":["tcp"]}`, ""},
		{"plugins", `{"name":"cors","config":{"origins":["(["]}}`, "(config.origins: {\n  \"'([' is not a valid regex\"\n})"},
		{"plugins", `{"name":"cors","config":{"methods":["GET","get"]}}`, "(config.methods: {\n  [2] = \"expected one of: GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS, TRACE, CONNECT\"\n})"},
		{"plugins", `{"name":"ip-restriction"}`, "(at least one of these fields must be non-empty: 'config.allow', 'config.deny')"},
		{"plugins", `{"name":"ip-restriction","config":{"allow":["1.2.3.4/33"]}}`, "(config.allow: {\n  \"invalid ip or cidr range: '1.2.3.4/33'\"\n})"},
		{"plugins", `{"name":"request-termination","config":{"message":"m","body":"b"}}`, "(config: message cannot be used with content_type or body)"},
		{"plugins", `{"name":"request-termination","config":{"status_code":99}}`, "(config.status_code: value should be between 100 and 599)"},
		{"plugins", `{"name":"rate-limiting","config":{"minute":0}}`, "(config.minute: value must be greater than 0)"},
		{"plugins", `{"name":"rate-limiting","config":{"minute":1,"policy":"redis"}}`, "2(failed conditional validation given value of field 'config.policy'; config.redis: {\n  host = \"required field missing\"\n})"},
		{"plugins", `{"name":"rate-limiting","config":{"minute":1,"limit_by":"header"}}`, "2(failed conditional validation given value of field 'config.limit_by'; config.header_name: required field missing)"},
		{"plugins", `{"name":"rate-limiting","config":{"minute":1,"redis_port":1,"redis":{"port":2}}}`, "(redis_port: both deprecated and new field are used but their values mismatch: redis_port = 1 vs redis.port = 2)"},
		{"plugins", `{"name":"response-ratelimiting","config":{"limits":{"x":{"second":2,"minute":1}}}}`, "(config.limits: the limit for minute(1.0) cannot be lower than the limit for second(2.0))"},
		{"plugins", `{"name":"bot-detection","config":{"allow":["("]}}`, "(config.allow: {\n  \"not a valid regex: (\"\n})"},
		{"plugins", `{"name":"http-log","config":{"http_endpoint":"{vault://env/x}"}}`, ""},
		{"plugins", `{"name":"http-log","config":{"http_endpoint":"{vault://}"}}`, "(config.http_endpoint: missing host in url)"},
		{"plugins", `{"name":"http-log","config":{"http_endpoint":"//example.com"}}`, "(config.http_endpoint: missing scheme in url)"},
		{"plugins", `{"name":"http-log","config":{}}`, "(config.http_endpoint: required field missing)"},
		{"plugins", `{"name":"key-auth","consumer":{"id":"` + aUUID + `"}}`, "(consumer: value must be null)"},
		{"plugins", `{"name":1}`, "(name: plugin '1' not enabled; add it to the 'plugins' configuration property)"},
	}
	for _, tt := range tests {
		got := ""
		if wrong := violationsOf(t, tt.kind, tt.input); len(wrong) > 0 {
			got = strings.TrimPrefix(ViolationMessage(wrong), "schema violation ")
			if count, rest, found := strings.Cut(got, " schema violations "); found {
				got = count + rest
			}
		}
		if got != tt.want {
			t.Errorf("%s %s\n got %s\nwant %s", tt.kind, tt.input, got, tt.want)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	content, err := os.ReadFile("../../../test/contract/testdata/3.9.3/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]struct {
		PublicPEM  string `json:"publicPEM"`
		PrivatePEM string `json:"privatePEM"`
	}
	if err := json.Unmarshal(content, &keys); err != nil {
		t.Fatal(err)
	}
	// What is in the field only has to be a key: a private one, and one of another type, are taken.
	for name, key := range keys {
		for _, pem := range []string{key.PublicPEM, key.PrivatePEM} {
			if problem := keyProblem(pem); problem != "" {
				t.Errorf("%s: %s", name, problem)
			}
		}
		if keyProblem(strings.Replace(key.PublicPEM, "M", "!", 5)) == "" {
			t.Errorf("%s, broken: taken", name)
		}
	}
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]object{
		"http://a.b":                {"protocol": "http", "host": "a.b", "port": 80.0, "path": nil},
		"https://a.b/c/d?e=f#g":     {"protocol": "https", "host": "a.b", "port": 443.0, "path": "/c/d"},
		"http://u:p@a.b:8080/":      {"protocol": "http", "host": "a.b", "port": 8080.0, "path": "/"},
		"grpcs://a.b":               {"protocol": "grpcs", "host": "a.b", "port": 80.0, "path": nil},
		"http://[::1]:81/x":         {"protocol": "http", "host": "::1", "port": 81.0, "path": "/x"},
		"//a.b:443":                 {"protocol": "https", "host": "a.b", "port": 443.0, "path": nil},
		"http://a.b:port":           {"protocol": "http", "host": "a.b", "port": "port", "path": nil},
		"http://a.b/with%20escapes": {"protocol": "http", "host": "a.b", "port": 80.0, "path": "/with%20escapes"},
	} {
		if got := expandURL(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestLuaPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		matches       bool
	}{
		{"^%u+$", "GET", true}, {"^%u+$", "Get", false}, {"^%*%.", "*.a", true}, {"^%*%.", "x.a", false},
		{"^[^*]*%*?[^*]*$", "a*b", true}, {"^[^*]*%*?[^*]*$", "a*b*", false}, {"//", "a//b", true}, {"^~/", "~/x", true},
		{"^[Hh][Oo][Ss][Tt]$", "HOST", true}, {"^[%w%-]+$", "a-1", true}, {"^[%w%-]+$", "a_1", false},
	} {
		expression, err := luaPattern(tt.pattern)
		if err != nil || expression.MatchString(tt.text) != tt.matches {
			t.Errorf("%s on %s: %v, %v", tt.pattern, tt.text, !tt.matches, err)
		}
	}
}

func TestLuaTables(t *testing.T) {
	value := object{"b": []any{1.0, "x"}, "a": nil, "@entity": true, "c": object{"d": 1.5}, "e": []any{nil, "second"}}
	if got, want := LuaTable(value), `{["@entity"]=true,a=null,b={1,"x"},c={d=1.5},e={[2]="second"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := luaBlock(object{"a": object{"b": "c"}}), "{\n  a = {\n    b = \"c\"\n  }\n}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFilledStaysFilled: what Kong answers can be sent back, and is the same then but for the time of the update.
func TestFilledStaysFilled(t *testing.T) {
	l := theLibrary(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(l.Plugins()).Draw(t, "plugin")
		schema := l.Entities["plugins"]
		now := time.Unix(1, 0)
		input := object{"name": name, "enabled": rapid.Bool().Draw(t, "enabled")}
		if rapid.Bool().Draw(t, "tagged") {
			input["tags"] = []any{"b", "a", "b"}
		}
		row, wrong := schema.Fill(input, Inserting, now)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		shown := schema.Present(row)
		again, wrong := schema.Fill(Clone(shown), Upserting, now)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		if !reflect.DeepEqual(row, again) {
			t.Fatalf("%v\nbecame %v", row, again)
		}
		if !reflect.DeepEqual(schema.Merge(object{}, row), row) {
			t.Fatal("an empty patch changes it")
		}
	})
}

func TestServedSchemasShowNoCode(t *testing.T) {
	l := theLibrary(t)
	for _, name := range slices.Sorted(maps.Keys(l.served)) {
		if text := fmt.Sprint(l.Served(name)); strings.Contains(text, "custom_validator") || strings.Contains(text, "func:") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestSchemaFiles: each file says where it is from, and all that code.json adds has a place in some version.
func TestSchemaFiles(t *testing.T) {
	code, err := readSchemaFile("code")
	if err != nil {
		t.Fatal(err)
	}
	placed := map[string]bool{}
	for _, version := range versions {
		file, err := readSchemaFile(version.file)
		if err != nil {
			t.Fatal(err)
		}
		if file.Source == "" || strings.HasPrefix(file.Source, "not recorded") != (file.From != "") {
			t.Errorf("%s: source %q", version.file, file.Source)
		}
		schemas, err := servedSchemas(version.file)
		if err != nil {
			t.Fatal(err)
		}
		for path := range code.Fields {
			placed[path] = placed[path] || schemas.locate(path) != nil
		}
	}
	for path := range code.Fields {
		if !placed[path] {
			t.Errorf("%s is in no version", path)
		}
	}
	for version, want := range map[string]string{"3.4.2": "3.4.2", "3.5.0": "3.4.2", "3.8.1": "3.9.3", "3.13.0.0": "3.9.3", "3.15.0.2": "3.14", "4.0.0": "3.14"} {
		if got := fileOf(kong.ParseVersion(version)); got != want {
			t.Errorf("%s has the schemas of %s", version, got)
		}
	}
}
