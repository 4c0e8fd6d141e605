package kong

import (
	"errors"
	"testing"
	"time"
)

func TestNode(t *testing.T) {
	const root = `{"node_id":"n1","version":"3.9.3","edition":"community","hostname":"h","tagline":"Welcome to kong",
		"configuration":{"database":"postgres","router_flavor":"traditional_compatible","worker_consistency":"eventual",
		"db_update_frequency":5,"db_update_propagation":1.5,"worker_state_update_frequency":0.5,"pg_password":"******"},
		"plugins":{"available_on_server":{"jwt":{"version":"3.9.3","priority":1450},"acl":true,"off":false},"enabled_in_cluster":["jwt"]}}`
	fake := answering(t, 200, root)
	node, err := connect(t, fake.URL).Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if uri := fake.last(t).URI; uri != "/" {
		t.Errorf("asked %s", uri)
	}
	if node.NodeID != "n1" || node.Version != "3.9.3" || node.Edition != "community" || node.Database != "postgres" ||
		node.RouterFlavor != "traditional_compatible" || node.WorkerConsistency != "eventual" {
		t.Errorf("%+v", node)
	}
	if node.DBUpdateFrequency != 5*time.Second || node.DBUpdatePropagation != 1500*time.Millisecond ||
		node.WorkerStateUpdateFrequency != 500*time.Millisecond {
		t.Errorf("%v %v %v", node.DBUpdateFrequency, node.DBUpdatePropagation, node.WorkerStateUpdateFrequency)
	}
	if !node.Plugins["jwt"] || !node.Plugins["acl"] || node.Plugins["off"] || len(node.Plugins) != 2 {
		t.Errorf("plugins %v", node.Plugins)
	}
}

func TestStatus(t *testing.T) {
	cases := []struct {
		name, body string
		want       Status
	}{
		{"recorded, with a database", recordedAnswer(t, "admin-node.json", "status"), Status{DatabaseReachable: true}},
		{"its database is away", `{"database":{"reachable":false},"server":{}}`, Status{}},
		{"recorded, without one", recordedAnswer(t, "dbless-config.json", "status has the hash"),
			Status{DatabaseReachable: true, ConfigurationHash: "2fdfb3839a786eddf42c0f461bcf4509"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := connect(t, answering(t, 200, c.body).URL).Status(t.Context())
			if err != nil || got != c.want {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

func TestPluginSchemaIsRead(t *testing.T) {
	fake := answering(t, 200, recordedAnswer(t, "admin-node.json", "schema of the plugin acl"))
	schema, err := connect(t, fake.URL).PluginSchema(t.Context(), "a/cl")
	if err != nil || schema.Name != "a/cl" || len(schema.Config.Fields) != 4 {
		t.Errorf("%+v %v", schema, err)
	}
	if uri := fake.last(t).URI; uri != "/schemas/plugins/a%2Fcl" {
		t.Errorf("asked %s", uri)
	}
	missing := answering(t, 404, `{"message":"No plugin named 'nope'"}`)
	if _, err := connect(t, missing.URL).PluginSchema(t.Context(), "nope"); !IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

// Anything else that answers 200 at that address is not an Admin API.
func TestWhatIsNotAnAdminAPI(t *testing.T) {
	for _, body := range []string{``, `{}`, `[]`, `<html>`, `{"version":""}`, `"ok"`} {
		client := connect(t, answering(t, 200, body).URL)
		_, nodeErr := client.Node(t.Context())
		_, statusErr := client.Status(t.Context())
		_, schemaErr := client.PluginSchema(t.Context(), "jwt")
		_, getErr := client.Get(t.Context(), KindService, "s")
		for _, err := range []error{nodeErr, statusErr, schemaErr, getErr} {
			var unavailable *UnavailableError
			if !errors.As(err, &unavailable) || unavailable.Cause != CauseNotKong && unavailable.Cause != CauseWebPage {
				t.Errorf("%q: %v", body, err)
			}
		}
	}
}
