package main

import (
	"context"
	"fmt"
	"io"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// checkTimeout is how long --check waits for what is not as it should be, and checkPause the time between two looks.
const (
	checkTimeout = time.Minute
	checkPause   = 2 * time.Second
)

// check says whether an operator leads and every KongGateway is Ready, and waits a while for both: helm test follows
// an installation.
func check(ctx context.Context, s settings, kube client.Reader, out io.Writer) error {
	var findings []string
	err := wait.PollUntilContextTimeout(ctx, checkPause, checkTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		findings, err = look(ctx, s, kube, time.Now())
		return len(findings) == 0, err
	})
	if err != nil && !wait.Interrupted(err) {
		return err
	}
	for _, finding := range findings {
		_, _ = fmt.Fprintln(out, finding)
	}
	if len(findings) > 0 {
		return fmt.Errorf("%d of the checks failed", len(findings))
	}
	_, _ = fmt.Fprintln(out, "An operator leads, and every KongGateway is Ready.")
	return nil
}

// look says what is not as it should be.
func look(ctx context.Context, s settings, kube client.Reader, now time.Time) (findings []string, err error) {
	var held coordinationv1.Lease
	err = kube.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.shard().lease()}, &held)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get the Lease: %w", err)
	}
	if renewed := held.Spec.RenewTime; renewed == nil || now.Sub(renewed.Time) > s.lease.duration {
		findings = append(findings, fmt.Sprintf("No operator leads: the Lease %s/%s is not renewed. Look at the operator's pods and their log.",
			s.namespace, s.shard().lease()))
	}
	var gateways v1alpha1.KongGatewayList
	if err := kube.List(ctx, &gateways); err != nil {
		return nil, fmt.Errorf("list KongGateways: %w", err)
	}
	for _, gateway := range gateways.Items {
		ready := apimeta.FindStatusCondition(gateway.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready == nil:
			findings = append(findings, fmt.Sprintf("KongGateway %s: no operator has looked at it.", gateway.Name))
		case !apimeta.IsStatusConditionTrue(gateway.Status.Conditions, v1alpha1.ConditionReady):
			findings = append(findings, fmt.Sprintf("KongGateway %s is not Ready (%s): %s", gateway.Name, ready.Reason, ready.Message))
		}
	}
	return findings, nil
}
