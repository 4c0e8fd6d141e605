package chart

import (
	"encoding/json"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

var _ = Describe("The NetworkPolicy", func() {
	// policy renders it with some values.
	policy := func(ctx SpecContext, settings ...string) networkingv1.NetworkPolicySpec {
		GinkgoHelper()
		arguments := []string{"template", release, chartPath, "--show-only", "templates/networkpolicy.yaml", "--set", "networkPolicy.enabled=true"}
		for _, setting := range settings {
			arguments = append(arguments, "--set-json", setting)
		}
		objects := parse(mustHelm(ctx, arguments...))
		Expect(objects).To(HaveLen(1))
		var made networkingv1.NetworkPolicy
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(objects[0].Object, &made, true)).To(Succeed())
		return made.Spec
	}
	egress := func(rules ...string) []networkingv1.NetworkPolicyEgressRule {
		GinkgoHelper()
		decoded := make([]networkingv1.NetworkPolicyEgressRule, len(rules))
		for i, rule := range rules {
			Expect(json.Unmarshal([]byte(rule), &decoded[i])).To(Succeed())
		}
		return decoded
	}
	const (
		apiServer = `{"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}`
		dns       = `{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}], "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]}`
		adminAPI  = `{"ports": [{"port": 8001, "protocol": "TCP"}, {"port": 8444, "protocol": "TCP"}]}`
		proxies   = `{"ports": [{"port": 8000, "protocol": "TCP"}, {"port": 8443, "protocol": "TCP"}]}`
		jwks      = `{"ports": [{"port": 443, "protocol": "TCP"}]}`
		other     = `{"ports": [{"port": 9, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}`
		peers     = `[{"ipBlock": {"cidr": "192.0.2.0/24"}}]`
	)

	DescribeTable("lets out what the operator talks to, each as its value says", func(ctx SpecContext, setting string, expected ...string) {
		if setting == "" {
			Expect(policy(ctx).Egress).To(Equal(egress(expected...)))
			return
		}
		Expect(policy(ctx, "networkPolicy.egress."+setting).Egress).To(Equal(egress(expected...)))
	},
		Entry("by default", "", apiServer, dns, adminAPI, proxies, jwks, SpecTimeout(patience)),
		Entry("the API server's ports", `apiServerPorts=[9]`, `{"ports": [{"port": 9, "protocol": "TCP"}]}`, dns, adminAPI, proxies, jwks, SpecTimeout(patience)),
		Entry("where the API server is", `apiServerTo=`+peers, `{"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}], "to": `+peers+`}`,
			dns, adminAPI, proxies, jwks, SpecTimeout(patience)),
		Entry("where DNS is", `dnsTo=`+peers, apiServer, `{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}], "to": `+peers+`}`,
			adminAPI, proxies, jwks, SpecTimeout(patience)),
		Entry("the Admin APIs", `adminAPIs=[`+other+`]`, apiServer, dns, other, proxies, jwks, SpecTimeout(patience)),
		Entry("the data planes", `dataPlanes=[`+other+`]`, apiServer, dns, adminAPI, other, jwks, SpecTimeout(patience)),
		Entry("no data planes", `dataPlanes=[]`, apiServer, dns, adminAPI, jwks, SpecTimeout(patience)),
		Entry("no data planes, as null", `dataPlanes=null`, apiServer, dns, adminAPI, jwks, SpecTimeout(patience)),
		Entry("issuers", `jwks=[`+other+`]`, apiServer, dns, adminAPI, proxies, other, SpecTimeout(patience)),
		Entry("what else there is", `extra=[`+other+`]`, apiServer, dns, adminAPI, proxies, jwks, other, SpecTimeout(patience)),
	)

	It("lets the pods reach OpenShift's DNS, whose pods listen on another port", func(ctx SpecContext) {
		const theirs = `{"ports": [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}],` +
			`"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}]}`
		Expect(policy(ctx, `openshift=true`).Egress).To(Equal(egress(apiServer, dns, theirs, adminAPI, proxies, jwks)))
	}, SpecTimeout(patience))

	DescribeTable("is not made of values that would open every port", func(ctx SpecContext, setting, complaint string) {
		out, err := helm(ctx, "template", release, chartPath, "--set", "networkPolicy.enabled=true", "--set-json", "networkPolicy.egress."+setting)
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(complaint))
	},
		Entry("no port of the API server", `apiServerPorts=[]`, "'/networkPolicy/egress/apiServerPorts': minItems", SpecTimeout(patience)),
		Entry("not even a list of them", `apiServerPorts=null`, "networkPolicy.egress.apiServerPorts: name a port", SpecTimeout(patience)),
		Entry("a port that is none", `apiServerPorts=[0]`, "'/networkPolicy/egress/apiServerPorts/0': minimum", SpecTimeout(patience)),
		Entry("a rule that is none", `jwks=[null]`, "'/networkPolicy/egress/jwks/0'", SpecTimeout(patience)),
	)

	It("lets in who reads metrics, and nobody where there are none", func(ctx SpecContext) {
		open := policy(ctx)
		Expect(open.Ingress).To(HaveLen(1))
		Expect(open.Ingress[0].From).To(BeEmpty(), "the endpoint authenticates")
		narrow := policy(ctx, `networkPolicy.ingress.metricsFrom=`+peers)
		Expect(narrow.Ingress[0].From).To(HaveLen(1))
		Expect(narrow.Ingress[0].From[0].IPBlock.CIDR).To(Equal("192.0.2.0/24"))
		closed := policy(ctx, `metrics.enabled=false`)
		Expect(closed.Ingress).To(BeEmpty())
		for _, spec := range []networkingv1.NetworkPolicySpec{open, narrow, closed} {
			Expect(spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress), "what is not let in or out is refused")
		}
	}, SpecTimeout(patience))
})
