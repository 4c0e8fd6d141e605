package crds

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Templates of Helm and patches of kustomize leave empty lists, empty maps and null where nothing is set.
func TestEmptyIsTakenAsAbsent(t *testing.T) {
	route := func(fields string) string {
		return `{"upstream": {"url": "http://example.com"}, "routes": [{"name": "api", ` + fields + `}]}`
	}
	service := func(fields string) string { return `{"upstream": {"url": "http://example.com"}, ` + fields + `}` }
	gateway := func(fields string) string { return `{"adminAPI": {"url": "http://127.0.0.1:8001"}, ` + fields + `}` }
	const planes = `"serviceRef": {"namespace": "kong", "name": "kong-proxy", "port": 80}`
	rows := []struct{ kind, spec string }{
		{"JwtProtectedService", route(`"paths": ["/a"], "hosts": [], "methods": [], "snis": [], "protocols": [], "headers": {}`)},
		{"JwtProtectedService", route(`"paths": ["/a"], "hosts": null, "methods": null, "snis": null, "protocols": null, "headers": null`)},
		{"JwtProtectedService", route(`"paths": [], "hosts": ["a.example.com"]`)},
		{"JwtProtectedService", route(`"paths": ["/a"], "methods": [], "protocols": ["grpc"]`)},
		{"JwtProtectedService", service(`"tags": [], "plugins": [], "routes": []`)},
		{"JwtProtectedService", service(`"tags": null, "plugins": null, "routes": null`)},
		{"JwtProtectedService", service(`"plugins": [{"name": "x", "plugin": "cors", "protocols": []}]`)},
		{"JwtProtectedService", service(`"plugins": [{"name": "x", "plugin": "cors", "protocols": null}]`)},
		{"JwtProtectedService", service(`"claims": {"audiences": ["a"], "required": [], "headers": []}`)},
		{"JwtProtectedService", service(`"claims": {"audiences": ["a"], "required": null, "headers": null}`)},
		{"JwtConsumer", `{"tags": [], "groups": [], "plugins": [], "credentials": []}`},
		{"JwtConsumer", `{"tags": null, "groups": null, "plugins": null, "credentials": null}`},
		{"KongGateway", gateway(`"dataPlanes": {"urls": [], ` + planes + `}`)},
		{"KongGateway", gateway(`"dataPlanes": {"urls": null, ` + planes + `}`)},
		{"KongGateway", gateway(`"policy": {"upstreams": {"allow": [{"cidrs": [], "hosts": ["otel.monitoring.svc"], "ports": []}], "deny": []}}`)},
		{"KongGateway", gateway(`"policy": {"upstreams": {"allow": [{"cidrs": ["10.0.0.0/8"], "hosts": []}]}}`)},
		{"JwtToken", `{"consumerRef": {"name": "c", "credential": "primary"}, "secretName": "t", "audience": []}`},
	}
	kube := client.WithFieldValidation(newClient(t), metav1.FieldValidationStrict)
	for _, row := range rows {
		t.Run(row.kind+" "+row.spec, func(t *testing.T) {
			var spec map[string]any
			if err := json.Unmarshal([]byte(row.spec), &spec); err != nil {
				t.Fatal(err)
			}
			created := object(t, row.kind, "{}")
			created.Object["spec"] = spec
			applied := created.DeepCopy()
			applied.SetName("empty-lists")
			applied.SetGenerateName("")
			if err := kube.Create(t.Context(), created); err != nil {
				t.Error(err)
			}
			configuration := client.ApplyConfigurationFromUnstructured(applied)
			if err := kube.Apply(t.Context(), configuration, client.FieldOwner("argocd-controller"), client.ForceOwnership); err != nil {
				t.Error(err)
			}
		})
	}
}
