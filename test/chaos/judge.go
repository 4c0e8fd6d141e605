package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
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
		if all, err = w.storm.list(ctx); err != nil {
			return false, err
		}
		if last = w.settled(all); last != nil {
			return false, nil
		}
		last = w.holds(ctx, all)
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
	if err := w.untouched(ctx); err != nil {
		return err
	}
	if err := w.storm.deleteAll(ctx); err != nil {
		return err
	}
	if err := w.holds(ctx, resources{}); err != nil {
		return fmt.Errorf("after all was deleted: %w", err)
	}
	if err := w.untouched(ctx); err != nil {
		return err
	}
	return w.tell(all, recovered)
}

// tell prints what the run came to, and writes it into the page that WRITE names.
func (w *world) tell(all resources, recovered time.Duration) error {
	sum := fmt.Sprintf("%d changes of resources; %d consumers and %d services at the end, all well %.1f s after the last fault",
		w.storm.moves.Load(), len(all.consumers.Items), len(all.services.Items), recovered.Seconds())
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

// holds compares what Kong holds of ours with what the resources say: by name and content, not by what the operator reports.
func (w *world) holds(ctx context.Context, all resources) error {
	want, err := w.wanted(ctx, all)
	if err != nil {
		return err
	}
	got := map[string]bool{}
	for _, kind := range collections {
		entities, err := w.entities(ctx, kind)
		if err != nil {
			return err
		}
		for _, e := range entities {
			if e.tagged("kongjwt-gateway:" + gatewayName) {
				got[e.describe(kind)] = true
			}
		}
	}
	var differ []string
	for line := range want {
		if !got[line] {
			differ = append(differ, "missing in Kong: "+line)
		}
	}
	for line := range got {
		if !want[line] {
			differ = append(differ, "left over in Kong: "+line)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return fmt.Errorf("%d differences:\n%s", len(differ), strings.Join(differ[:min(len(differ), 20)], "\n"))
}

// wanted lists, from the resources and the Secrets that clients read, what has to be in Kong.
func (w *world) wanted(ctx context.Context, all resources) (map[string]bool, error) {
	want := map[string]bool{}
	for _, c := range all.consumers.Items {
		username := c.Namespace + "." + c.Name
		want["consumer "+username] = true
		for _, group := range c.Spec.Groups {
			want["group "+group+" of "+c.Status.ConsumerID] = true
		}
		if c.Spec.Revoked {
			continue
		}
		var secret corev1.Secret
		if err := w.storm.kube.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: c.Name + "-jwt"}, &secret); err != nil {
			return nil, fmt.Errorf("the Secret for clients of %s: %w", username, err)
		}
		want[fmt.Sprintf("credential %s of %s with secret %s", secret.Data["key"], c.Status.ConsumerID, fingerprint(secret.Data["secret"]))] = true
	}
	for _, s := range all.services.Items {
		name := s.Namespace + "." + s.Name
		want["service "+name] = true
		claim := s.Spec.JWT.KeyClaimName
		if claim == "" {
			claim = "iss"
		}
		want["plugin jwt of "+s.Status.ServiceID+" reads "+claim] = true
		for _, route := range s.Spec.Routes {
			want["route "+name+"."+route.Name+" of "+s.Status.ServiceID] = true
		}
	}
	return want, nil
}

// plant makes what is not ours: by hand, and by another installation.
func (w *world) plant(ctx context.Context) (map[string]string, error) {
	for i := range 10 {
		tags := []string{"by-hand"}
		if i%2 == 0 {
			tags = []string{"kongjwt", "kongjwt-installation:another", "kongjwt-gateway:another", "kongjwt-owner:JwtConsumer:other:other", "kongjwt-part:consumer"}
		}
		name := fmt.Sprintf("foreign-%d", i)
		for path, fields := range map[string]map[string]any{
			"/consumers": {"username": name, "tags": tags},
			"/services":  {"name": name, "host": name + ".example.com", "tags": tags},
		} {
			if err := w.ask(ctx, http.MethodPost, path, fields, nil); err != nil {
				return nil, err
			}
		}
	}
	return w.others(ctx)
}

// uproot deletes what plant made, and what a run that failed left: a real Kong goes on living.
func (w *world) uproot(ctx context.Context) error {
	for _, kind := range []string{"routes", "plugins", "services", "consumers"} {
		entities, err := w.entities(ctx, kind)
		if err != nil {
			return err
		}
		for _, e := range entities {
			planted := strings.HasPrefix(e.text("name")+e.text("username"), "foreign-")
			if !planted && !e.tagged("kongjwt-gateway:"+gatewayName) {
				continue
			}
			if err := w.ask(ctx, http.MethodDelete, "/"+kind+"/"+e.text("id"), nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// others gives all that is not ours, as Kong shows it.
func (w *world) others(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	for _, kind := range collections {
		entities, err := w.entities(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, e := range entities {
			if e.tagged("kongjwt-gateway:" + gatewayName) {
				continue
			}
			content, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			all[kind+"/"+e.text("id")] = string(content)
		}
	}
	return all, nil
}

func (w *world) untouched(ctx context.Context) error {
	now, err := w.others(ctx)
	if err != nil {
		return err
	}
	if !maps.Equal(now, w.foreign) {
		return fmt.Errorf("what is not ours was touched: %d entities were there, %d are, or their content differs", len(w.foreign), len(now))
	}
	return nil
}
