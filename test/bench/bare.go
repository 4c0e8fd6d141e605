package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// bareResult is what two clients without any logic need.
type bareResult struct {
	// wall is the time for all of both, which run at the same time.
	wall, kong, kube time.Duration
	// put is the median of one PUT at a time.
	put time.Duration
}

// measureBare sends just the PUTs that have to go to Kong, and just the reads and writes that have to go to the kube-apiserver, from two clients at once.
func measureBare(ctx context.Context, s settings, dir string) (result bareResult, err error) {
	if s.quick {
		return result, nil
	}
	target, err := startKong(ctx, s)
	if err != nil {
		return result, err
	}
	defer func() { _ = target.stop() }() // what was measured is measured
	env, err := stack.Start(ctx, stack.Options{Dir: dir, AdminURL: target.adminURL, ProxyURL: target.adminURL})
	if err != nil {
		return result, err
	}
	defer func() { _ = env.Stop() }() // as above
	kube, err := unthrottled(env.Config)
	if err != nil {
		return result, err
	}
	if err := createResources(ctx, kube, s, target.adminURL); err != nil {
		return result, fmt.Errorf("create the resources: %w", err)
	}
	admin := newBareKong(target.adminURL, s.concurrency)
	if result.put, err = admin.median(ctx); err != nil {
		return result, err
	}
	began := time.Now()
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer func() { result.kong = time.Since(began) }()
		return admin.fill(bothCtx, s)
	})
	both.Go(func() error {
		defer func() { result.kube = time.Since(began) }()
		return bareKube(bothCtx, kube, s)
	})
	err = both.Wait()
	result.wall = time.Since(began)
	if s.adminURL != "" {
		err = errorOf(err, admin.clean(ctx, bareTag))
	}
	return result, err
}

func errorOf(errs ...error) error {
	at := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if at < 0 {
		return nil
	}
	return errs[at]
}

// bareKube does what has to be done in Kubernetes: the resources are listed once, and each gets a finalizer and a status; of each credential two
// Secrets are looked for and created.
func bareKube(ctx context.Context, kube client.Client, s settings) error {
	var consumers v1alpha1.JwtConsumerList
	var services v1alpha1.JwtProtectedServiceList
	if err := errorOf(kube.List(ctx, &consumers), kube.List(ctx, &services)); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.concurrency)
	for i := range services.Items {
		service := &services.Items[i]
		group.Go(func() error {
			return bareResource(groupCtx, kube, service, func() {
				service.Status.ObservedGeneration = service.Generation
				service.Status.Conditions = bareConditions()
			})
		})
	}
	for i := range consumers.Items {
		consumer := &consumers.Items[i]
		group.Go(func() error {
			for _, name := range []string{consumer.Name + "-jwt", consumer.Name + "-kongjwt-state"} {
				if err := bareSecret(groupCtx, kube, consumer, name); err != nil {
					return err
				}
			}
			return bareResource(groupCtx, kube, consumer, func() {
				consumer.Status.ObservedGeneration = consumer.Generation
				consumer.Status.Conditions = bareConditions()
				consumer.Status.Credentials = []v1alpha1.CredentialStatus{{
					Name: "primary", Key: consumer.Namespace + "." + consumer.Name + ".primary", KongID: uuid.NewString(),
					Algorithm: "HS256", Phase: v1alpha1.CredentialActive, SecretName: consumer.Name + "-jwt", Generation: 1,
				}}
			})
		})
	}
	return group.Wait()
}

func bareResource(ctx context.Context, kube client.Client, object client.Object, setStatus func()) error {
	before := object.DeepCopyObject().(client.Object)
	object.SetFinalizers([]string{v1alpha1.Finalizer})
	if err := kube.Patch(ctx, object, client.MergeFrom(before)); err != nil {
		return err
	}
	before = object.DeepCopyObject().(client.Object)
	setStatus()
	return kube.Status().Patch(ctx, object, client.MergeFrom(before))
}

func bareSecret(ctx context.Context, kube client.Client, consumer *v1alpha1.JwtConsumer, name string) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: consumer.Namespace, Name: name}}
	if err := kube.Get(ctx, client.ObjectKeyFromObject(secret), secret); !apierrors.IsNotFound(err) {
		return fmt.Errorf("read Secret %s: not missing: %w", name, err)
	}
	secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: consumer.Namespace, Name: name,
			Labels:          map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelOwnerName: consumer.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(consumer, v1alpha1.GroupVersion.WithKind(v1alpha1.KindJwtConsumer))},
		},
		Data: map[string][]byte{"key": []byte(consumer.Name), "algorithm": []byte("HS256"), "secret": []byte(uuid.NewString() + uuid.NewString())},
	}
	return kube.Create(ctx, secret)
}

func bareConditions() []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded,
		Message: "Consumer is in Kong with 1 credentials", LastTransitionTime: metav1.Now(), ObservedGeneration: 1,
	}}
}
