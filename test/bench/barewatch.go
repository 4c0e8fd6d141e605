package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"k8s.io/client-go/rest"
)

// bareWatches reads what becomes of the resources after a version, as whoever is to see them change does: it asks for the same as the operator, and throws
// away what comes. The function that it returns ends that.
func bareWatches(ctx context.Context, config *rest.Config, version string) (stop func(), err error) {
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	stop = func() { cancel(); open.Wait() }
	for _, one := range []struct{ path, accept string }{
		{"/apis/kongjwt.dev/v1alpha1/jwtconsumers", "application/json"},
		{"/apis/kongjwt.dev/v1alpha1/jwtprotectedservices", "application/json"},
		// Their names and versions, no content.
		{"/api/v1/secrets", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"},
	} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+one.path+"?watch=true&resourceVersion="+version, nil)
		if err != nil {
			stop()
			return nil, err
		}
		request.Header.Set("Accept", one.accept)
		response, err := httpClient.Do(request)
		if err != nil {
			stop()
			return nil, err
		}
		open.Go(func() {
			_, _ = io.Copy(io.Discard, response.Body) // it ends when it is stopped
			_ = response.Body.Close()                 // as above
		})
		if response.StatusCode != http.StatusOK {
			stop()
			return nil, fmt.Errorf("watch %s: %s", one.path, response.Status)
		}
	}
	return stop, nil
}
