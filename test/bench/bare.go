package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// bareResult is what two clients without any logic need.
type bareResult struct {
	// wall is the time for all of both, which run at the same time.
	wall, kong, kube time.Duration
	// used is what that took of the processors.
	used cpu
	// written is how long one of the consumers and its Secrets are at the end, in bytes.
	written int
}

// measureBare sends just the PUTs that have to go to Kong, and just the reads and writes that have to go to the
// kube-apiserver, from two clients at once.
func measureBare(ctx context.Context, s settings, dir string) (result bareResult, err error) {
	if s.quick {
		return result, nil
	}
	target, err := startKong(s)
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
	// What the operator has to be let do costs the kube-apiserver as much for these.
	account, err := env.OperatorConfig(ctx)
	if err != nil {
		return result, err
	}
	admin := newBareKong(target.adminURL, s.concurrency)
	before, err := cpuNow(os.Getpid())
	if err != nil {
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
		return bareKube(bothCtx, account, s)
	})
	err = both.Wait()
	result.wall = time.Since(began)
	if now, cpuErr := cpuNow(os.Getpid()); err == nil {
		result.used, err = now.since(before), cpuErr
	}
	if err == nil {
		result.written, err = written(ctx, kube)
	}
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

// bareKube does what has to be done in Kubernetes: the resources are listed once and watched, and each gets a
// finalizer and a status; of each credential two Secrets are looked for and created.
func bareKube(ctx context.Context, account *rest.Config, s settings) error {
	direct, err := unthrottled(account)
	if err != nil {
		return err
	}
	kube := client.WithFieldOwner(direct, v1alpha1.ManagedBy) // not who made the resources
	var consumers v1alpha1.JwtConsumerList
	var services v1alpha1.JwtProtectedServiceList
	if err := errorOf(kube.List(ctx, &services), kube.List(ctx, &consumers)); err != nil {
		return err
	}
	stop, err := bareWatches(ctx, account, consumers.ResourceVersion)
	if err != nil {
		return err
	}
	defer stop()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.concurrency)
	for i := range services.Items {
		service := &services.Items[i]
		group.Go(func() error {
			return bareResource(groupCtx, kube, service, func() {
				service.Status.ObservedGeneration = service.Generation
				service.Status.Conditions = bareConditions("Service is in Kong")
			})
		})
	}
	for i := range consumers.Items {
		consumer := &consumers.Items[i]
		group.Go(func() error {
			for name, data := range bareSecrets(consumer) {
				if err := bareSecret(groupCtx, kube, consumer, name, data); err != nil {
					return err
				}
			}
			return bareResource(groupCtx, kube, consumer, func() { consumer.Status = bareStatus(consumer) })
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

func bareSecret(ctx context.Context, kube client.Client, consumer *v1alpha1.JwtConsumer, name string, data map[string][]byte) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: consumer.Namespace, Name: name}}
	if err := kube.Get(ctx, client.ObjectKeyFromObject(secret), secret); !apierrors.IsNotFound(err) {
		return fmt.Errorf("read Secret %s: not missing: %w", name, err)
	}
	owner := *metav1.NewControllerRef(consumer, v1alpha1.GroupVersion.WithKind(v1alpha1.KindJwtConsumer))
	owner.BlockOwnerDeletion = nil
	secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: consumer.Namespace, Name: name,
			Labels: map[string]string{
				v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelOwnerKind: v1alpha1.KindJwtConsumer, v1alpha1.LabelOwnerName: consumer.Name,
			},
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Data: data,
	}
	return kube.Create(ctx, secret)
}

// bareSecrets are the contents of a credential's two Secrets, as long as the operator's.
func bareSecrets(consumer *v1alpha1.JwtConsumer) map[string]map[string][]byte {
	return map[string]map[string][]byte{
		publishedName(consumer.Name): {"key": []byte(keyOf(consumer)), "algorithm": []byte("HS256"), "secret": []byte(strings.Repeat("s", 64))},
		stateName(consumer.Name):     {"state.json": []byte(strings.Repeat("s", stateLength))},
	}
}

// stateLength is how long the operator's record of one credential is, in bytes. The table says whether that is still
// so.
const stateLength = 303

func bareStatus(consumer *v1alpha1.JwtConsumer) v1alpha1.JwtConsumerStatus {
	issued := metav1.Now()
	return v1alpha1.JwtConsumerStatus{
		ObservedGeneration: consumer.Generation,
		Conditions:         bareConditions("Consumer " + consumer.Namespace + "." + consumer.Name + " is in Kong with 1 credential"),
		Gateway:            gatewayName,
		Username:           consumer.Namespace + "." + consumer.Name,
		ConsumerID:         uuid.NewString(),
		Credentials: []v1alpha1.CredentialStatus{{
			Name: "primary", Key: keyOf(consumer), KongID: uuid.NewString(), Algorithm: "HS256", State: v1alpha1.CredentialActive,
			Revision: 1, IssueTime: &issued, SecretName: publishedName(consumer.Name),
		}},
	}
}

func keyOf(consumer *v1alpha1.JwtConsumer) string {
	return consumer.Namespace + "." + consumer.Name + ".primary"
}

func bareConditions(message string) []metav1.Condition {
	return []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded,
		Message: message, LastTransitionTime: metav1.Now(), ObservedGeneration: 1,
	}}
}
