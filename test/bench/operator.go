package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

const (
	// phaseTimeout bounds what takes a minute with 10,000.
	phaseTimeout = 15 * time.Minute
	// lookTime is between two looks whether the operator is done: each sums up all resources.
	lookTime = time.Second
	// startLookTime is the same after a start, which takes seconds.
	startLookTime = 200 * time.Millisecond
	// farLooks is how many looks are left out at most while the operator is not half done by then: each has it put
	// its metrics together.
	farLooks = 4
	// calmTime is how long the work queues have to stay empty for the work to count as done.
	calmTime = 2 * lookTime
)

// subject is the operator that is measured, and what it works on.
type subject struct {
	settings
	// dir is where its kubeconfig is.
	dir     string
	target  *kong
	env     *stack.Stack
	kube    client.Client
	process *stack.Operator
	metrics string
	pprof   string
	report  *report
	took    operatorResult
	// empty is the resident set of an operator with nothing to do, in bytes.
	empty int64
}

// operatorResult is what is held against the bare clients.
type operatorResult struct {
	// cold is the time until all are Ready.
	cold time.Duration
	// used is what that took of the processors.
	used cpu
	// restart is the time until all was looked at once more; change the median from Kubernetes' answer to Kong's,
	// rareChange what 99 in 100 are not above.
	restart, change, rareChange time.Duration
	// check is what a look at what Kong holds took of the processors.
	check cpu
	// resident is the operator's set after the cold start, and after the restart, in bytes.
	resident, restarted int64
	// written is how long one of the consumers and its Secrets are after the cold start, in bytes.
	written int
}

func measureOperator(ctx context.Context, s settings, dir string, r *report) (took operatorResult, err error) {
	target, err := startKong(s)
	if err != nil {
		return took, err
	}
	defer func() { _ = target.stop() }() // what was measured is measured
	env, err := stack.Start(ctx, stack.Options{Dir: dir, AdminURL: target.adminURL, ProxyURL: target.adminURL})
	if err != nil {
		return took, err
	}
	defer func() { _ = env.Stop() }() // as above
	kube, err := unthrottled(env.Config)
	if err != nil {
		return took, err
	}
	m := &subject{settings: s, dir: dir, target: target, env: env, kube: kube, report: r}
	if err := m.measureEmpty(ctx); err != nil {
		return took, fmt.Errorf("without any work: %w", err)
	}
	if err := createResources(ctx, kube, s, target.adminURL); err != nil {
		return took, fmt.Errorf("create the resources: %w", err)
	}
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{{"cold", m.cold}, {"idle", m.idle}, {"change", m.change}, {"restart", m.restart}, {"bare", m.bare}} {
		if err := phase.run(ctx); err != nil {
			return took, fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return m.took, m.clean(ctx)
}

func (m *subject) start(ctx context.Context) error {
	var err error
	if m.metrics, err = stack.FreeAddress(); err != nil {
		return err
	}
	flags := []string{"--metrics-bind-address", m.metrics, "--metrics-secure=false"}
	if m.profile != "" {
		if m.pprof, err = stack.FreeAddress(); err != nil {
			return err
		}
		flags = append(flags, "--pprof-bind-address", m.pprof)
	}
	m.process, err = m.env.StartOperator(ctx, flags...)
	return err
}

// measureEmpty takes the resident set of an operator that knows of no resource.
func (m *subject) measureEmpty(ctx context.Context) error {
	if m.countsOnly() {
		return nil
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	if _, err := m.settled(ctx, 0, lookTime); err != nil {
		return err
	}
	var err error
	if m.empty, _, err = memory(m.process.PID()); err != nil {
		return err
	}
	if err := m.heap(ctx, "empty"); err != nil {
		return err
	}
	return m.process.Stop()
}

// settled returns when so many reconciles are done and the queues stay empty, with the time at which the last work
// was seen: up to every after it was done.
func (m *subject) settled(ctx context.Context, reconciles float64, every time.Duration) (last time.Time, err error) {
	last = time.Now()
	var former activity
	skip := 0
	err = wait.PollUntilContextTimeout(ctx, every, phaseTimeout, true, func(ctx context.Context) (bool, error) {
		if skip > 0 {
			skip--
			return false, nil
		}
		now, err := activityOf(ctx, m.metrics)
		if err != nil {
			return false, nil //nolint:nilerr // It does not listen yet.
		}
		if done := now.reconciles - former.reconciles; done > 0 {
			skip = max(0, min(farLooks, int((reconciles-now.reconciles)/done/2)-1))
		}
		if now.busy > 0 || now.reconciles != former.reconciles {
			last = time.Now()
		}
		former = now
		return now.reconciles >= reconciles && time.Since(last) > calmTime, nil
	})
	return last, err
}

// allReady says whether every resource is.
func (m *subject) allReady(ctx context.Context) error {
	var consumers v1alpha1.JwtConsumerList
	var services v1alpha1.JwtProtectedServiceList
	if err := errors.Join(m.kube.List(ctx, &consumers), m.kube.List(ctx, &services)); err != nil {
		return err
	}
	waiting := 0
	for i := range consumers.Items {
		if !meta.IsStatusConditionTrue(consumers.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
			waiting++
		}
	}
	for i := range services.Items {
		if !meta.IsStatusConditionTrue(services.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
			waiting++
		}
	}
	if waiting > 0 || len(consumers.Items) != m.consumers || len(services.Items) != m.services {
		return fmt.Errorf("%d resources are not Ready", waiting)
	}
	return nil
}

// cold starts the operator where all resources exist.
func (m *subject) cold(ctx context.Context) error {
	before, err := m.begin(ctx)
	if err != nil {
		return err
	}
	usedBefore, err := cpuNow(0)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := m.start(ctx); err != nil {
		return err
	}
	profiled := m.time(ctx, "cold", newPerSecond)
	last, err := m.settled(ctx, float64(m.consumers+m.services), lookTime)
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	used, err := cpuNow(m.process.PID())
	if err != nil {
		return err
	}
	m.took.used = used.since(usedBefore)
	if err := m.allReady(ctx); err != nil {
		return err
	}
	kube, requests, err := m.counted(ctx, before)
	if err != nil {
		return err
	}
	now, highest, err := memory(m.process.PID())
	if err != nil {
		return err
	}
	m.took.cold, m.took.resident = last.Sub(began), now
	if m.took.written, err = written(ctx, m.kube); err != nil {
		return err
	}
	m.report.cold(m.settings, kube, requests, m.took.cold)
	m.report.memory(m.settings, m.empty, now, highest)
	return m.heap(ctx, "cold")
}

// counted is what Kong and the kube-apiserver were asked since before, and since the last reset.
func (m *subject) counted(ctx context.Context, before kubeCounts) (kubeCounts, []kongsim.Request, error) {
	requests, err := m.target.requests(ctx)
	if err != nil {
		return nil, nil, err
	}
	now, err := countKube(ctx, m.env.Config)
	return now.since(before), requests, err
}

// told waits until the gateway's status counts all that Kong has: it is written with a heartbeat, after everything
// else.
func (m *subject) told(ctx context.Context) error {
	var gateway v1alpha1.KongGateway
	return wait.PollUntilContextTimeout(ctx, lookTime, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := m.kube.Get(ctx, client.ObjectKey{Name: gatewayName}, &gateway)
		managed := gateway.Status.Managed
		return managed != nil && int(managed.Credentials) == m.consumers && int(managed.Routes) == m.services*routesPerService, err
	})
}

// idle watches an operator with nothing to do, and then one that is asked to look at what Kong holds.
func (m *subject) idle(ctx context.Context) error {
	if err := m.told(ctx); err != nil {
		return fmt.Errorf("wait for the gateway's counts: %w", err)
	}
	before, err := m.begin(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(m.idleTime()):
	}
	kube, requests, err := m.counted(ctx, before)
	if err != nil {
		return err
	}
	m.report.idle(m.settings, kube, requests)

	gateway := &v1alpha1.KongGateway{ObjectMeta: metav1.ObjectMeta{Name: gatewayName}}
	asked := gateway.DeepCopy()
	asked.Annotations = map[string]string{v1alpha1.AnnotationReconcile: "bench"}
	if before, err = m.begin(ctx); err != nil {
		return err
	}
	usedBefore, err := cpuNow(m.process.PID())
	if err != nil {
		return err
	}
	if err := m.kube.Patch(ctx, asked, client.MergeFrom(gateway)); err != nil {
		return err
	}
	if err := m.awaitListing(ctx); err != nil {
		return err
	}
	if _, err := m.settled(ctx, 0, lookTime); err != nil {
		return err
	}
	used, err := cpuNow(m.process.PID())
	if err != nil {
		return err
	}
	m.took.check = used.since(usedBefore)
	if kube, requests, err = m.counted(ctx, before); err != nil {
		return err
	}
	kube["PATCH konggateways"]-- // the one that asked
	m.report.driftCheck(m.settings, kube, requests)
	return nil
}

// begin counts anew.
func (m *subject) begin(ctx context.Context) (kubeCounts, error) {
	before, err := countKube(ctx, m.env.Config)
	if err != nil {
		return nil, err
	}
	return before, m.target.reset(ctx)
}

// awaitListing returns when the last page that a look at what Kong holds asks for has been answered.
func (m *subject) awaitListing(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, lookTime, time.Minute, true, func(ctx context.Context) (bool, error) {
		requests, err := m.target.requests(ctx)
		return listings(requests) >= m.pages(), err
	})
}

// restart stops the operator and starts it again: nothing is written, to nobody.
func (m *subject) restart(ctx context.Context) error {
	if err := m.process.Stop(); err != nil {
		return err
	}
	before, err := m.begin(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := m.start(ctx); err != nil {
		return err
	}
	profiled := m.time(ctx, "restart", knownPerSecond)
	last, err := m.settled(ctx, float64(m.consumers+m.services), startLookTime)
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	if err := m.allReady(ctx); err != nil {
		return err
	}
	kube, requests, err := m.counted(ctx, before)
	if err != nil {
		return err
	}
	now, highest, err := memory(m.process.PID())
	if err != nil {
		return err
	}
	m.took.restart, m.took.restarted = last.Sub(began), now
	m.report.restart(m.settings, kube, requests, m.took.restart, now, highest)
	return m.heap(ctx, "restart")
}

// bare stops the operator, and has programs without any logic do on the same resources what it did.
func (m *subject) bare(ctx context.Context) error {
	if err := m.process.Stop(); err != nil || m.quick {
		return err
	}
	kubeconfig := filepath.Join(m.dir, stack.OperatorKubeconfig)
	var took []time.Duration
	var grown []int64
	for range readings {
		one, err := measureReading(ctx, kubeconfig, m.target.adminURL)
		if err != nil {
			return fmt.Errorf("the reader: %w", err)
		}
		took, grown = append(took, one.Took), append(grown, one.Grown)
	}
	m.report.reading(m.took, m.empty, at(half, took), at(half, grown))
	changes, err := m.follow(ctx, kubeconfig)
	if err != nil {
		return fmt.Errorf("the follower: %w", err)
	}
	m.report.following(m.took, changes)
	return nil
}

// readings is how often the reader reads. The median counts.
const readings = 3

// clean leaves nothing in a real Kong.
func (m *subject) clean(ctx context.Context) error {
	if m.adminURL == "" {
		return nil
	}
	return newBareKong(m.target.adminURL, m.concurrency).clean(ctx, "kongjwt-gateway:"+gatewayName)
}
