package resolve

import (
	"context"
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
	"github.com/kongjwt/kong-jwt-operator/internal/index"
	"github.com/kongjwt/kong-jwt-operator/internal/mistakes"
)

// MistakenAccess finds what a service names and nobody has. inKong says whether Kong has a consumer of a name: it is
// asked where no JwtConsumer has the username of spec.jwt.anonymous, which may be somebody else's.
func (in Inputs) MistakenAccess(
	ctx context.Context, service *v1alpha1.JwtProtectedService, inKong func(context.Context, string) (bool, error),
) ([]mistakes.Mistake, error) {
	var failed error
	known := func(found bool, err error) bool {
		failed = errors.Join(failed, err)
		return found || err != nil
	}
	gateway := service.GatewayName()
	found := mistakes.Access(service, mistakes.Callers{
		Where: "KongGateway " + gateway,
		HasConsumer: func(namespace, name string) bool {
			var consumer v1alpha1.JwtConsumer
			err := in.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &consumer)
			return known(err == nil && consumer.GatewayName() == gateway, client.IgnoreNotFound(err))
		},
		HasGroup: func(group string) bool {
			return known(index.Any(ctx, in.Reader, v1alpha1.KindJwtConsumer, index.Group, index.GatewayValue(gateway, group)))
		},
		HasUsername: func(username string) bool {
			has := false
			value := index.UniqueKeyValue(gateway, desired.UniqueKey{Kind: desired.UniqueUsername, Value: username})
			err := index.ForEach(ctx, in.Reader, v1alpha1.KindJwtConsumer, index.UniqueKey, "", value, func(v1alpha1.Resource) { has = true })
			if !has && err == nil {
				there, unknown := inKong(ctx, username)
				has = there || unknown != nil // a Kong that does not answer is told by Ready
			}
			return known(has, err)
		},
	})
	if failed != nil {
		return nil, fmt.Errorf("look for the consumers that the service names: %w", failed)
	}
	return found, nil
}

// ServicesMissing lists the services to look at again because a consumer came, changed or went: those that name it, or
// something of it. Where it came, that is those whose condition says that somebody is missing.
func (in Inputs) ServicesMissing(ctx context.Context, consumer *v1alpha1.JwtConsumer, came bool) ([]client.ObjectKey, error) {
	gateway := consumer.GatewayName()
	values := [][2]string{
		{index.Consumer, consumer.Namespace + "/" + consumer.Name},
		{index.Anonymous, index.GatewayValue(gateway, desired.Username(consumer))},
	}
	for _, group := range consumer.Spec.Groups {
		values = append(values, [2]string{index.Group, index.GatewayValue(gateway, group)})
	}
	var keys []client.ObjectKey
	for _, value := range values {
		err := index.ForEach(ctx, in.Reader, v1alpha1.KindJwtProtectedService, value[0], "", value[1], func(service v1alpha1.Resource) {
			if !came || apimeta.IsStatusConditionTrue(*service.GetConditions(), v1alpha1.ConditionAccessIncomplete) {
				keys = append(keys, client.ObjectKeyFromObject(service))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list the services that name a consumer: %w", err)
		}
	}
	return keys, nil
}
