package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const (
	// tenantNamespace has services that no Kong takes; nothing is promised of them but that they go when they are
	// deleted.
	tenantNamespace = "chaos-tenant"
	// maxBody is the longest body that the simulated Kongs take, in bytes: less than the configuration of a
	// service may be, and many times what the others need.
	maxBody = 1 << 20
	// tooLarge is a text for a plugin, in bytes: few of them are a body that is too large where all are in one.
	tooLarge = 200 << 10
)

// tenant sends all the time what Kong fails at, as a request or as a part of a configuration: answers of 500, of 400
// without words, and of 413. Everybody else has to get through beside it.
type tenant struct {
	kube     client.Client
	gateways []v1alpha1.GatewayReference
	random   *rand.Rand
	sent     atomic.Int64
}

func newTenant(ctx context.Context, w *world) (*tenant, error) {
	t := &tenant{kube: w.api.client, random: rand.New(rand.NewPCG(w.seed, 99))} //nolint:gosec // repeatable
	for _, s := range w.sites {
		t.gateways = append(t.gateways, v1alpha1.GatewayReference{Name: s.gateway})
	}
	return t, t.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenantNamespace}})
}

// poison are the configurations of request-termination that Kong fails at, each in its own way.
func poison() map[string]string {
	long, _ := json.Marshal(strings.Repeat("long ", tooLarge/5)) // text has no error
	return map[string]string{
		"nul":   `{"message": "a\u0000b"}`,
		"deep":  `{"message": "m", "body": ` + strings.Repeat(`{"a":`, 1100) + "1" + strings.Repeat("}", 1100) + `}`,
		"long":  `{"body": ` + string(long) + `}`,
		"longs": `{"body": ` + string(long) + `, "status_code": 418}`,
	}
}

// run sends until ctx ends.
func (t *tenant) run(ctx context.Context) {
	poison := poison()
	for ctx.Err() == nil {
		for what, config := range poison {
			for i, gateway := range t.gateways {
				name := fmt.Sprintf("%s-%d", what, i)
				if t.send(ctx, name, gateway, config) == nil {
					t.sent.Add(1)
				}
				pause(ctx, time.Duration(100+t.random.IntN(200))*time.Millisecond)
			}
		}
	}
}

// send creates a service, changes it, or deletes it. What the kube-apiserver cannot do now is not done.
func (t *tenant) send(ctx context.Context, name string, gateway v1alpha1.GatewayReference, config string) error {
	service := &v1alpha1.JwtProtectedService{ObjectMeta: metav1.ObjectMeta{Namespace: tenantNamespace, Name: name}}
	err := t.kube.Get(ctx, client.ObjectKeyFromObject(service), service)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	exists := err == nil
	if exists && t.random.IntN(4) == 0 {
		return t.kube.Delete(ctx, service)
	}
	service.Spec = v1alpha1.JwtProtectedServiceSpec{
		GatewayRef: gateway,
		Upstream:   &v1alpha1.Upstream{URL: "http://" + name + ".example.com"},
		Routes:     []v1alpha1.Route{{Name: "api", Paths: []string{fmt.Sprintf("/%s/%d", name, t.random.IntN(100))}}},
		Plugins: []v1alpha1.ServicePlugin{{PluginSpec: v1alpha1.PluginSpec{
			Name: "poison", Plugin: "request-termination", Config: &apiextensionsv1.JSON{Raw: []byte(config)},
		}}},
	}
	if exists {
		return t.kube.Update(ctx, service)
	}
	return t.kube.Create(ctx, service)
}

// end deletes what the tenant has: nothing that Kong refused keeps it from going.
func (t *tenant) end(ctx context.Context, tend func(context.Context) error) error {
	var list v1alpha1.JwtProtectedServiceList
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, recovery, true, func(ctx context.Context) (bool, error) {
		if err := tend(ctx); err != nil {
			return false, err
		}
		if err := t.kube.List(ctx, &list, client.InNamespace(tenantNamespace)); err != nil {
			return false, err
		}
		for i := range list.Items {
			if err := client.IgnoreNotFound(t.kube.Delete(ctx, &list.Items[i])); err != nil {
				return false, err
			}
		}
		return len(list.Items) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("%d services of the tenant do not go: %w", len(list.Items), err)
	}
	return nil
}

// isTenants says whether an entity in Kong is the tenant's.
func isTenants(e entity) bool {
	return e.tagged("kongjwt-owner:" + v1alpha1.KindJwtProtectedService + ":" + tenantNamespace + ":" + ownerName(e))
}

// ownerName reads the last part of an entity's owner.
func ownerName(e entity) string {
	tags, _ := e["tags"].([]any)
	for _, tag := range tags {
		if text, _ := tag.(string); strings.HasPrefix(text, "kongjwt-owner:") {
			return text[strings.LastIndexByte(text, ':')+1:]
		}
	}
	return ""
}
