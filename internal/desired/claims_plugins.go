package desired

import (
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kong"
	"github.com/kongjwt/kong-jwt-operator/internal/status"
)

// answerThemselves are the plugins that can answer a request before the claims of its token are checked, with what only
// the check should open: what another request got, the answer of a service or a model, messages of a queue. Those that
// send the request there are with them. Post-function has the priority -1000: the access phase of each of them is
// before it (kong/plugins/*/handler.lua, 3.4 to 3.9, and Kong's documentation of the others). A plugin that refuses, or
// answers a text of its own configuration, is none of them.
var answerThemselves = []string{
	// Kong's: 777, 770 and 768, then 750, 749 and 100.
	"ai-request-transformer", "ai-proxy", "ai-response-transformer", "aws-lambda", "azure-functions", "proxy-cache",
	// Kong Gateway Enterprise's, and openwhisk, which was Kong's.
	"ai-a2a-proxy", "ai-mcp-proxy", "ai-proxy-advanced", "ai-semantic-cache", "confluent", "confluent-consume",
	"datakit", "forward-proxy", "graphql-proxy-cache-advanced", "kafka-consume", "kafka-upstream",
	"openwhisk", "proxy-cache-advanced", "request-callout", "solace-consume", "solace-upstream",
}

// AnswersBeforeClaims says whether a plugin answers requests before the claims of their tokens are checked.
func AnswersBeforeClaims(plugin string) bool { return slices.Contains(answerThemselves, plugin) }

// checkAnswering refuses, beside spec.claims, the plugins that answer before claims are checked.
func checkAnswering(service *v1alpha1.JwtProtectedService) error {
	for i, plugin := range service.Spec.Plugins {
		if AnswersBeforeClaims(plugin.Plugin) {
			return status.Stalled(v1alpha1.ReasonInvalidSpec,
				"spec.plugins[%d].plugin: %s answers requests before their claims are checked. Remove it, or spec.claims.",
				i, plugin.Plugin)
		}
	}
	return nil
}

// checkConsumerAnswering refuses a consumer's plugin that answers before claims are checked: Kong runs it on each
// service that lets the consumer in, and any of them may have spec.claims.
func (p Policy) checkConsumerAnswering(field, plugin string) error {
	if !AnswersBeforeClaims(plugin) {
		return nil
	}
	return p.violation(field, "plugin "+plugin+" answers requests before services check the claims of their tokens",
		"Put it on a service that has no spec.claims")
}

// checkCounting refuses a plugin that counts requests by a header which is made of a claim. Rate limits run before
// post-function, so they count by what the client sent under that name.
func checkCounting(field string, service *v1alpha1.JwtProtectedService, plugin kong.Fields) error {
	config := plugin.Object("config")
	if service.Spec.Claims == nil || config["limit_by"] != "header" && config["identifier"] != "header" {
		return nil
	}
	counted, _ := config["header_name"].(string)
	for i, header := range service.Spec.Claims.Headers {
		if headerKey(header.Header) == headerKey(counted) {
			return status.Stalled(v1alpha1.ReasonInvalidSpec,
				"%s.config.header_name: requests are counted by %s before spec.claims.headers[%d].header sets it, so by what "+
					"the client sends. Count by consumer, or by another header.", field, header.Header, i)
		}
	}
	return nil
}

// headerKey is the same for the names of headers that Kong reads as one.
func headerKey(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
