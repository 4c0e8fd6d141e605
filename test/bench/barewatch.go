package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// bareWatches reads what becomes of the resources after a version, as whoever is to see them change does, and does
// nothing with it. The function that it returns ends that.
func bareWatches(ctx context.Context, config *rest.Config, version string) (stop func(), err error) {
	kube, err := unthrottled(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	stop = func() { cancel(); open.Wait() }
	// Of Secrets the operator reads names and versions, no content.
	secrets := &metav1.PartialObjectMetadataList{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	for _, list := range []client.ObjectList{&v1alpha1.JwtConsumerList{}, &v1alpha1.JwtProtectedServiceList{}, secrets} {
		changes, err := kube.Watch(ctx, list, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version}})
		if err != nil {
			stop()
			return nil, fmt.Errorf("watch %T: %w", list, err)
		}
		context.AfterFunc(ctx, changes.Stop)
		open.Go(func() {
			for range changes.ResultChan() { // it is read, and that is all
			}
		})
	}
	return stop, nil
}
