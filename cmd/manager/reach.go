package main

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// patience is how long a process that starts waits for an API server that is away, and how often it asks. The chart's
// startupProbe gives it 120 s. A process that ended at the first failure would be started again after pauses that grow
// to 5 minutes, and be away long after the API server is back.
type patience struct{ pause, limit time.Duration }

var startPatience = patience{pause: time.Second, limit: 100 * time.Second}

// cluster is what a process has to know of its cluster before it starts.
type cluster struct {
	// mapper knows the kinds that are watched, and asks for others when they are needed.
	mapper meta.RESTMapper
	// installation is the installation id.
	installation string
}

// reach asks the API server which kinds it has, and for the installation id unless a flag sets it. It waits for an API
// server that is away, and ends at once where waiting is of no use: the kinds are not installed, or the rights are
// missing.
func reach(ctx context.Context, config *rest.Config, scheme *runtime.Scheme, flag string, p patience) (found cluster, err error) {
	connection, err := rest.HTTPClientFor(config)
	if err != nil {
		return found, fmt.Errorf("make a connection: %w", err)
	}
	if found.mapper, err = apiutil.NewDynamicRESTMapper(config, connection); err != nil {
		return found, fmt.Errorf("make a list of kinds: %w", err)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme, Mapper: found.mapper, HTTPClient: connection})
	if err != nil {
		return found, fmt.Errorf("make a client: %w", err)
	}
	ended := wait.PollUntilContextTimeout(ctx, p.pause, p.limit, true, func(ctx context.Context) (bool, error) {
		if err = knowKinds(found.mapper); err == nil {
			found.installation, err = installationID(ctx, reader, flag)
		}
		if err != nil && mayPass(err) {
			ctrl.Log.Info("The API server does not answer yet; asking it again", "error", err.Error())
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return found, err
	}
	return found, ended
}

// knowKinds has a mapper learn each group that is watched. It asks once a group.
func knowKinds(mapper meta.RESTMapper) error {
	for _, kind := range []schema.GroupKind{
		{Kind: "Secret"}, {Group: "discovery.k8s.io", Kind: "EndpointSlice"}, v1alpha1.GroupVersion.WithKind(v1alpha1.KindJwtConsumer).GroupKind(),
	} {
		if _, err := mapper.RESTMapping(kind); err != nil {
			return fmt.Errorf("ask the API server for %s: %w", kind, err)
		}
	}
	return nil
}

// mayPass says whether what failed may work a little later, with nothing done about it.
func mayPass(err error) bool {
	return !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err)
}
