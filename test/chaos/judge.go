package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/test/page"
)

// recovery bounds the time from the last fault until all is well.
const recovery = 2 * time.Minute

// judge looks whether all is as it should be, now and after everything was deleted.
func (w *world) judge(ctx context.Context) error {
	began := time.Now()
	var all resources
	last := errors.New("never looked")
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, recovery, true, func(ctx context.Context) (bool, error) {
		var err error
		if err = w.revive(ctx); err != nil {
			return false, err
		}
		if all, err = w.storm.list(ctx); err != nil {
			return false, err
		}
		if last = w.settled(all); last != nil {
			return false, nil
		}
		last = w.hold(ctx, all)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("not well %s after the last fault: %w", recovery, errors.Join(last, err))
	}
	recovered := time.Since(began)
	for i := range all.consumers.Items {
		if err := w.storm.lost(ctx, &all.consumers.Items[i]); err != nil {
			return err
		}
	}
	if err := w.discreet(ctx, all); err != nil {
		return err
	}
	w.quiet()
	if err := w.tenant.end(ctx, w.revive); err != nil {
		return err
	}
	if err := w.storm.deleteAll(ctx, w.revive); err != nil {
		return err
	}
	if err := w.hold(ctx, resources{}); err != nil {
		return fmt.Errorf("after all was deleted: %w", err)
	}
	return w.tell(all, recovered)
}

// hold compares every Kong with the resources of its gateway, and with what it held that is not ours.
func (w *world) hold(ctx context.Context, all resources) error {
	for _, s := range w.sites {
		want, err := w.storm.wanted(ctx, all.of(s.gateway))
		if err != nil {
			return err
		}
		for _, n := range s.nodes {
			if err := s.holds(ctx, n, want); err != nil {
				return fmt.Errorf("KongGateway %s, node %s: %w", s.gateway, n.address, err)
			}
			if err := s.untouched(ctx, n); err != nil {
				return fmt.Errorf("KongGateway %s, node %s: %w", s.gateway, n.address, err)
			}
		}
	}
	return nil
}

// discreet looks for secrets, and for a panic, in what all operators logged.
func (w *world) discreet(ctx context.Context, all resources) error {
	log, err := os.ReadFile(w.operators[0].LogPath)
	if err != nil {
		return err
	}
	if bytes.Contains(log, []byte("panic")) {
		return errors.New("an operator's log has a panic")
	}
	for _, c := range all.consumers.Items {
		var secret corev1.Secret
		err := w.storm.kube.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Name + "-jwt"}, &secret)
		if client.IgnoreNotFound(err) != nil {
			return err
		}
		if err != nil {
			continue // it is revoked
		}
		if bytes.Contains(log, secret.Data["secret"]) {
			return fmt.Errorf("an operator's log has the secret of %s/%s", c.Namespace, c.Name)
		}
	}
	return nil
}

// tell prints what the run came to, and writes it into the page that WRITE names.
func (w *world) tell(all resources, recovered time.Duration) error {
	sum := fmt.Sprintf("%d changes of resources beside %d of a tenant who sends what Kong fails at; %d consumers and %d services at the end, all well %.1f s after the last fault",
		w.storm.moves.Load(), w.tenant.sent.Load(), len(all.consumers.Items), len(all.services.Items), recovered.Seconds())
	fmt.Println(sum)
	var table strings.Builder
	fmt.Fprintf(&table, "Run %s with seed %d, %s of faults: %s. Everything above was true.\n\n| Fault | Times |\n|---|---|\n", time.Now().Format(time.DateOnly), w.seed, w.duration, sum)
	for _, name := range slices.Sorted(maps.Keys(w.counts)) {
		fmt.Printf("%4d times %s\n", w.counts[name], name)
		fmt.Fprintf(&table, "| %s | %d |\n", name, w.counts[name])
	}
	if path := os.Getenv("WRITE"); path != "" {
		return page.WriteTable(path, "chaos", table.String())
	}
	return nil
}

// settled says what is not Ready yet.
func (w *world) settled(all resources) error {
	for i := range all.consumers.Items {
		c := &all.consumers.Items[i]
		if err := settled(c, c.Status.ObservedGeneration, meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady).DeepCopy()); err != nil {
			return err
		}
	}
	for i := range all.services.Items {
		s := &all.services.Items[i]
		if err := settled(s, s.Status.ObservedGeneration, meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady).DeepCopy()); err != nil {
			return err
		}
	}
	return nil
}

// holds compares what a Kong holds of ours with what the resources say: by name and content, and not by what the
// operator reports.
func (s *site) holds(ctx context.Context, n *node, want map[string]int) error {
	got := map[string]int{}
	for _, kind := range collections {
		entities, err := n.entities(ctx, kind)
		if err != nil {
			return err
		}
		for _, e := range entities {
			if s.owns(e) && !isTenants(e) {
				got[e.describe(kind)]++
			}
		}
	}
	var differ []string
	for line, count := range want {
		if got[line] < count {
			differ = append(differ, "missing in Kong: "+line)
		}
	}
	for line, count := range got {
		switch {
		case strings.HasPrefix(line, "consumer kongjwt-revision:"):
			// What carries the number of a configuration, where Kong has no database.
		case want[line] == 0:
			differ = append(differ, "left over in Kong: "+line)
		case want[line] < count:
			differ = append(differ, fmt.Sprintf("%d times in Kong: %s", count, line))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return fmt.Errorf("%d differences:\n%s", len(differ), strings.Join(differ[:min(len(differ), 20)], "\n"))
}

// wanted lists, from the resources and the Secrets that clients read, what has to be in Kong, and how many times.
func (s *storm) wanted(ctx context.Context, all resources) (map[string]int, error) {
	want := map[string]int{}
	for _, c := range all.consumers.Items {
		username := c.Namespace + "." + c.Name
		want["consumer "+username] = 1
		for _, group := range desired.Groups(&c) {
			want["group "+group+" of "+c.Status.ConsumerID] = 1
		}
		if c.Spec.Revoked {
			continue
		}
		var secret corev1.Secret
		if err := s.kube.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Name + "-jwt"}, &secret); err != nil {
			return nil, fmt.Errorf("the Secret for clients of %s: %w", username, err)
		}
		want[fmt.Sprintf("credential %s of %s with secret %s", secret.Data["key"], c.Status.ConsumerID, fingerprint(secret.Data["secret"]))] = 1
	}
	for _, p := range all.services.Items {
		name := p.Namespace + "." + p.Name
		want["service "+name] = 1
		claim := p.Spec.JWT.KeyClaimName
		if claim == "" {
			claim = "iss"
		}
		want["plugin jwt of "+p.Status.ServiceID+" reads "+claim] = 1
		want["plugin acl of "+p.Status.ServiceID+" reads "] = 1 // The callers of its own namespace.
		for _, route := range p.Spec.Routes {
			want["route "+name+"."+route.Name+" of "+p.Status.ServiceID] = 1
		}
	}
	return want, nil
}
