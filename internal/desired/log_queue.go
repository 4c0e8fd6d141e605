package desired

import "strings"

// separateLogQueue keeps the entries of a namespace's http-log plugins apart from those of others. Kong has one queue
// for each http_endpoint (kong/plugins/http-log/handler.lua, make_queue_name), and sends all that is in it with the
// headers of the plugin that logged last. A fragment makes the endpoint one of the namespace's own; it is not sent
// (RFC 3986 section 3.5). What a tenant wrote as a fragment goes: it could be another namespace's.
func (b *builder) separateLogQueue(plugin string, config map[string]any) {
	endpoint, isText := config["http_endpoint"].(string)
	if plugin != "http-log" || !isText {
		return
	}
	endpoint, _, _ = strings.Cut(endpoint, "#")
	config["http_endpoint"] = endpoint + "#" + strings.Trim(b.scope.Installation+"."+b.owner.Namespace, ".")
}
