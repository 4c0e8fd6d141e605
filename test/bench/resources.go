package main

import (
	"context"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const (
	gatewayName = "bench"
	// namespaces that the resources are spread over.
	namespaces = 10
	// creators is how many resources are created at once.
	creators = 20
)

// unthrottled is a client without client-go's own limits.
func unthrottled(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = -1, -1
	return client.NewWithWatch(config, client.Options{Scheme: scheme})
}

// createResources makes all that the operator is to work on.
func createResources(ctx context.Context, kube client.Client, s settings, adminURL string) error {
	for i := range namespaces {
		if err := kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(i)}}); err != nil {
			return err
		}
	}
	if err := kube.Create(ctx, gateway(s, adminURL)); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range s.services {
		group.Go(func() error { return kube.Create(groupCtx, service(i)) })
	}
	for i := range s.consumers {
		group.Go(func() error { return kube.Create(groupCtx, consumer(i)) })
	}
	return group.Wait()
}

func namespaceOf(i int) string { return fmt.Sprintf("bench-%d", i%namespaces) }

func gateway(s settings, adminURL string) *v1alpha1.KongGateway {
	return &v1alpha1.KongGateway{
		ObjectMeta: metav1.ObjectMeta{Name: gatewayName},
		Spec: v1alpha1.KongGatewaySpec{
			AdminAPI:          v1alpha1.AdminAPI{URL: adminURL, Concurrency: int32(s.concurrency)},
			AllowedNamespaces: v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			// Longer than all phases together: what is measured is not to depend on where a check falls.
			Drift: v1alpha1.Drift{Interval: "1h"},
		},
	}
}

func consumer(i int) *v1alpha1.JwtConsumer {
	name := fmt.Sprintf("consumer-%05d", i)
	return &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: name},
		Spec: v1alpha1.JwtConsumerSpec{
			GatewayRef: v1alpha1.GatewayReference{Name: gatewayName},
			Credentials: []v1alpha1.Credential{{
				Name: "primary", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: publishedName(name)},
			}},
		},
	}
}

// publishedName and stateName are a consumer's Secrets: for clients, and the operator's own.
func publishedName(consumer string) string { return consumer + "-jwt" }
func stateName(consumer string) string     { return consumer + "-kongjwt-state" }

// written is how long the first consumer and its Secrets are, in bytes, but for their versions: a number that grows
// is no more to write.
func written(ctx context.Context, kube client.Client) (int, error) {
	one := consumer(0)
	if err := kube.Get(ctx, client.ObjectKeyFromObject(one), one); err != nil {
		return 0, err
	}
	one.ResourceVersion = ""
	content, err := json.Marshal(one)
	if err != nil {
		return 0, err
	}
	sum := len(content)
	for _, name := range []string{publishedName(one.Name), stateName(one.Name)} {
		var secret corev1.Secret
		if err := kube.Get(ctx, client.ObjectKey{Namespace: one.Namespace, Name: name}, &secret); err != nil {
			return 0, err
		}
		secret.ResourceVersion = ""
		sum += secret.Size()
	}
	return sum, nil
}

func service(i int) *v1alpha1.JwtProtectedService {
	name := fmt.Sprintf("service-%03d", i)
	object := &v1alpha1.JwtProtectedService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: name},
		Spec: v1alpha1.JwtProtectedServiceSpec{
			GatewayRef: v1alpha1.GatewayReference{Name: gatewayName},
			Upstream:   &v1alpha1.Upstream{URL: "http://" + name + ".example.com"},
		},
	}
	for route := range routesPerService {
		object.Spec.Routes = append(object.Spec.Routes, v1alpha1.Route{
			Name: fmt.Sprintf("route-%d", route), Paths: []string{fmt.Sprintf("/bench/%s/%d", name, route)},
		})
	}
	return object
}
