package crds

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// shown is what kubectl get shows of one object: the API server makes the cells, kubectl only prints them.
type shown struct {
	kind, resource string
	// spec and status are patches over the valid object.
	spec, status string
	// columns and cells without -o wide, which adds the message. The first cell is the object's name.
	columns, cells []string
}

const (
	// Times that the columns show as ages, in whole hours: a slow test reads the same.
	since  = "<since>"
	issued = "<issued>"
	later  = "2099-01-02T03:04:05Z"
	// An empty cell.
	none = "<nil>"
)

// ready is a Ready condition of twelve and a half hours ago.
const ready = `"conditions": [
	{"type": "Reconciling", "status": "False", "reason": "Succeeded", "message": "", "lastTransitionTime": "` + since + `"},
	{"type": "Ready", "status": "False", "reason": "Conflict", "message": "john is held by team-b/john", "lastTransitionTime": "` + since + `"}]`

func showings() []shown {
	return []shown{
		{
			kind: "KongGateway", resource: "konggateways", spec: `{"spec": {"suspend": true}}`,
			status:  `{"status": {` + ready + `, "kongVersion": "3.9.3", "mode": "Database", "managed": {"consumers": 3, "services": 2}}}`,
			columns: []string{"Name", "Ready", "Status", "Version", "Mode", "Consumers", "Services", "Suspended", "Since", "Age"},
			cells:   []string{"", "False", "Conflict", "3.9.3", "Database", "3", "2", "true", "12h", "0s"},
		},
		{
			kind: "JwtConsumer", resource: "jwtconsumers", spec: `{"spec": {"gatewayRef": {"name": "edge"}}}`,
			status: `{"status": {` + ready + `, "username": "john", "nextRotationTime": "` + later + `",
				"newestIssueTime": "` + issued + `"}}`,
			columns: []string{"Name", "Ready", "Status", "Gateway", "Username", "Key age", "Next rotation", "Suspended", "Since", "Age"},
			cells:   []string{"", "False", "Conflict", "edge", "john", "20h", later, none, "12h", "0s"},
		},
		{
			kind: "JwtProtectedService", resource: "jwtprotectedservices", spec: `{"spec": {"gatewayRef": {"name": "edge"}}}`,
			status:  `{"status": {` + ready + `, "serviceName": "my-api", "paths": ["/api", "/v2"]}}`,
			columns: []string{"Name", "Ready", "Status", "Gateway", "Service", "Paths", "Suspended", "Since", "Age"},
			cells:   []string{"", "False", "Conflict", "edge", "my-api", `["/api","/v2"]`, none, "12h", "0s"},
		},
		{
			kind: "JwtToken", resource: "jwttokens", spec: `{}`,
			status:  `{"status": {` + ready + `, "gateway": "edge", "renewalTime": "` + later + `", "expirationTime": "` + later + `"}}`,
			columns: []string{"Name", "Ready", "Status", "Gateway", "Consumer", "Secret", "Renewal", "Expires", "Suspended", "Since", "Age"},
			cells:   []string{"", "False", "Conflict", "edge", "c", "t", later, later, none, "12h", "0s"},
		},
	}
}

// The columns answer whether it works, on which gateway, since when and what comes next.
func TestColumns(t *testing.T) {
	kube := newClient(t)
	for _, s := range showings() {
		t.Run(s.kind, func(t *testing.T) {
			name := s.create(t, kube)
			table := getTable(t, s.resource, s.kind == "KongGateway", name)
			s.compare(t, table, name)
		})
	}
}

// create makes the object with its status, and returns its name.
func (s shown) create(t *testing.T, kube client.Client) string {
	t.Helper()
	o := object(t, s.kind, s.spec)
	if err := kube.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	status := s.status
	for mark, age := range map[string]time.Duration{since: 12 * time.Hour, issued: 20 * time.Hour} {
		status = strings.ReplaceAll(status, mark, now.Add(-age-30*time.Minute).UTC().Format(time.RFC3339))
	}
	if err := kube.Status().Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(status))); err != nil {
		t.Fatal(err)
	}
	return o.GetName()
}

// getTable asks for what kubectl get asks for.
func getTable(t *testing.T, resource string, cluster bool, name string) metav1.Table {
	t.Helper()
	kube, err := discovery.NewDiscoveryClientForConfig(serving)
	if err != nil {
		t.Fatal(err)
	}
	path := []string{"apis", "kongjwt.dev", "v1alpha1", "namespaces", "default", resource, name}
	if cluster {
		path = slices.Delete(path, 3, 5)
	}
	answer, err := kube.RESTClient().Get().AbsPath(path...).SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(answer, &table); err != nil || len(table.Rows) != 1 {
		t.Fatalf("got %d rows, %v; want one", len(table.Rows), err)
	}
	return table
}

func (s shown) compare(t *testing.T, table metav1.Table, name string) {
	t.Helper()
	var columns, cells []string
	wide := map[string]string{}
	for i, column := range table.ColumnDefinitions {
		cell := fmt.Sprint(table.Rows[0].Cells[i])
		if column.Priority > 0 {
			wide[column.Name] = cell
			continue
		}
		columns, cells = append(columns, column.Name), append(cells, cell)
	}
	want := slices.Clone(s.cells)
	want[0] = name
	// The object's own age is the time that this test took so far.
	want[len(want)-1] = cells[len(cells)-1]
	if !slices.Equal(columns, s.columns) || !slices.Equal(cells, want) {
		t.Errorf("got\n%q\n%q, want\n%q\n%q", columns, cells, s.columns, want)
	}
	if len(wide) != 1 || wide["Message"] != "john is held by team-b/john" {
		t.Errorf("with -o wide got %q, want the Ready condition's message", wide)
	}
}

// Every kind has its short name. kubectl get kongjwt lists all kinds of a team: who may not read gateways, which are
// the cluster's, would get an error with each list.
func TestShortNamesAndCategory(t *testing.T) {
	served, err := discovery.NewDiscoveryClientForConfigOrDie(serving).ServerResourcesForGroupVersion("kongjwt.dev/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"konggateways": "kgw", "jwtconsumers": "jwtc", "jwtprotectedservices": "jwtps", "jwttokens": "jwtt"}
	for _, resource := range served.APIResources {
		short, ours := want[resource.Name]
		if !ours {
			continue // a subresource
		}
		delete(want, resource.Name)
		listed := slices.Contains(resource.Categories, "kongjwt")
		if !slices.Equal(resource.ShortNames, []string{short}) || listed != resource.Namespaced {
			t.Errorf("%s has short names %q and categories %q, want %q", resource.Name, resource.ShortNames, resource.Categories, short)
		}
		if resource.Namespaced != (resource.Name != "konggateways") {
			t.Errorf("%s: namespaced is %t", resource.Name, resource.Namespaced)
		}
	}
	if len(want) > 0 {
		t.Errorf("not served: %v", want)
	}
}
