package desired

import (
	"slices"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
)

// routeFields makes a route's Kong fields but for its name and service.
func routeFields(route v1alpha1.Route) kong.Fields {
	fields := kong.Fields{}
	setStrings(fields, "paths", route.Paths)
	setStrings(fields, "hosts", route.Hosts)
	setStrings(fields, "methods", route.Methods)
	setStrings(fields, "snis", route.SNIs)
	setStrings(fields, "protocols", route.Protocols)
	if len(route.Headers) > 0 {
		headers := make(map[string]any, len(route.Headers))
		for name, values := range route.Headers {
			headers[name] = []string(values)
		}
		fields["headers"] = headers
	}
	setPointer(fields, "strip_path", route.StripPath)
	if slices.Contains(route.Protocols, "grpc") || slices.Contains(route.Protocols, "grpcs") {
		fields["strip_path"] = false // Kong refuses any other on a grpc route
	}
	setPointer(fields, "preserve_host", route.PreserveHost)
	setPointer(fields, "regex_priority", route.RegexPriority)
	setText(fields, "path_handling", string(route.PathHandling))
	setPointer(fields, "https_redirect_status_code", route.HTTPSRedirectStatusCode)
	setPointer(fields, "request_buffering", route.RequestBuffering)
	setPointer(fields, "response_buffering", route.ResponseBuffering)
	if len(route.SNIs) > 0 && len(route.Protocols) == 0 {
		fields["protocols"] = []string{"https"} // Kong takes SNIs on TLS protocols alone
	}
	return withDefaults(fields, routeDefaults)
}

func setStrings[S ~string](into map[string]any, name string, values []S) {
	if len(values) == 0 {
		return
	}
	texts := make([]string, 0, len(values))
	for _, value := range values {
		texts = append(texts, string(value))
	}
	into[name] = texts
}

// routeFields makes a route's Kong fields but for its name and service. Where hosts are shared, its prefixes end at a
// segment.
func (p Policy) routeFields(route v1alpha1.Route) kong.Fields {
	if p.Routes != nil {
		route.Paths = segmentPaths(route.Paths)
	}
	return routeFields(route)
}

// hostTags are the tags of routes beside the owner's.
func hostTags(p Policy) []string {
	if p.Routes == nil {
		return nil
	}
	return []string{tagSharedHost}
}
