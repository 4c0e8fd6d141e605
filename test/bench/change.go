package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
)

// change changes one consumer after the other, each after a bare PUT, and looks at what Kong is asked for each.
func (m *subject) change(ctx context.Context) error {
	var took, puts []time.Duration
	var ratios []float64
	admin := newBareKong(m.target.adminURL, 1)
	others := 0
	for i := range m.changes() {
		object := &v1alpha1.JwtConsumer{}
		key := client.ObjectKeyFromObject(consumer(i * m.consumers / m.changes()))
		if err := m.kube.Get(ctx, key, object); err != nil {
			return err
		}
		put, err := admin.one(ctx)
		if err != nil {
			return err
		}
		if err := m.target.reset(ctx); err != nil {
			return err
		}
		before := object.DeepCopy()
		object.Spec.Groups = []string{object.Namespace + ".changed"}
		if err := m.kube.Patch(ctx, object, client.MergeFrom(before)); err != nil {
			return err
		}
		written := time.Now()
		if err := m.awaitWrite(ctx); err != nil {
			return err
		}
		if _, err := m.settledOne(ctx, key); err != nil {
			return err
		}
		requests, err := m.target.requests(ctx)
		if err != nil {
			return err
		}
		first, extra := writeAmong(requests)
		others += extra
		took, puts = append(took, first.Answered.Sub(written)), append(puts, put)
		ratios = append(ratios, took[i].Seconds()/put.Seconds())
	}
	if err := admin.forgetOne(ctx); err != nil {
		return err
	}
	m.took.change, m.took.rareChange = at(half, took), at(most, took)
	m.report.change(took, puts, ratios)
	m.report.exactly(fmt.Sprintf("change: requests to Kong beside the one that differs, %d changes", len(took)), others, 0)
	return m.awaitCounts(ctx)
}

// awaitCounts returns when the gateway's status counts what the changes made: it is written with a delay, and a
// restart is to find nothing to write.
func (m *subject) awaitCounts(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		var object v1alpha1.KongGateway
		err := m.kube.Get(ctx, client.ObjectKey{Name: gatewayName}, &object)
		// Two are reserved.
		return object.Status.Managed != nil && int(object.Status.Managed.Groups) == m.changes()+2*m.consumers, err
	})
}

// writeAmong picks the first write that was answered, and counts what else but heartbeats there is.
func writeAmong(requests []kongsim.Request) (first kongsim.Request, others int) {
	for _, r := range requests {
		switch {
		case r.Write() && first.Path == "" && r.Status != 0:
			first = r
		case !isHeartbeat(r) && !isListing(r):
			others++
		}
	}
	return first, others
}

func isHeartbeat(r kongsim.Request) bool { return r.Method == http.MethodGet && r.Path == "/status" }

// isListing says whether a request is of a look at what Kong holds: pages of 1000, and the node.
func isListing(r kongsim.Request) bool {
	return r.Method == http.MethodGet && (r.Path == "/" || strings.Contains(r.Path, "size=1000"))
}

func listings(requests []kongsim.Request) (count int) {
	for _, r := range requests {
		if isListing(r) && r.Status != 0 {
			count++
		}
	}
	return count
}

func (m *subject) awaitWrite(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		requests, err := m.target.requests(ctx)
		first, _ := writeAmong(requests)
		return first.Path != "", err
	})
}

// settledOne returns when the status speaks of the generation that was written last.
func (m *subject) settledOne(ctx context.Context, key client.ObjectKey) (object v1alpha1.JwtConsumer, err error) {
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := m.kube.Get(ctx, key, &object)
		return object.Status.ObservedGeneration == object.Generation, err
	})
	return object, err
}

// follow is what the fastest program needs that does what a change of a consumer asks for, and decides nothing: it
// watches, reads the two Secrets of what has changed, and sends one PUT. It gives the times from Kubernetes' answer to
// Kong's.
func (m *subject) follow(ctx context.Context, kubeconfig string) (took []time.Duration, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	kube, err := unthrottled(config)
	if err != nil {
		return nil, err
	}
	var now v1alpha1.JwtConsumerList
	if err := kube.List(ctx, &now, client.Limit(1)); err != nil {
		return nil, err
	}
	// Without a version, all that there is would come first.
	changes, err := kube.Watch(ctx, &v1alpha1.JwtConsumerList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: now.ResourceVersion}})
	if err != nil {
		return nil, err
	}
	defer changes.Stop()
	admin := newBareKong(m.target.adminURL, 1)
	for i := range m.changes() {
		object := &v1alpha1.JwtConsumer{}
		key := client.ObjectKeyFromObject(consumer(i * m.consumers / m.changes()))
		if err := m.kube.Get(ctx, key, object); err != nil {
			return nil, err
		}
		before := object.DeepCopy()
		object.Spec.Groups = []string{object.Namespace + ".followed"}
		done := make(chan error, 1)
		go func() { done <- followOne(ctx, kube, changes, admin, key, before.ResourceVersion) }()
		if err := m.kube.Patch(ctx, object, client.MergeFrom(before)); err != nil {
			return nil, err
		}
		written := time.Now()
		if err := <-done; err != nil {
			return nil, err
		}
		took = append(took, time.Since(written))
	}
	return took, admin.forgetOne(ctx)
}

// followOne waits for a change of a consumer, and does what it asks for.
func followOne(ctx context.Context, kube client.Client, changes watch.Interface, admin *bareKong, key client.ObjectKey, former string) error {
	for change := range changes.ResultChan() {
		object, ok := change.Object.(client.Object)
		if !ok || client.ObjectKeyFromObject(object) != key || object.GetResourceVersion() == former {
			continue
		}
		for _, name := range []string{publishedName(key.Name), stateName(key.Name)} {
			var secret corev1.Secret
			if err := kube.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: name}, &secret); err != nil {
				return err
			}
		}
		_, err := admin.one(ctx)
		return err
	}
	return errors.New("the watch has ended")
}
