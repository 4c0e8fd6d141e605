// Package inventory reads all resources of the operator that the caller may read, and says how each of them is.
package inventory

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Inventory is what there is.
type Inventory struct {
	Gateways  []v1alpha1.KongGateway
	Consumers []v1alpha1.JwtConsumer
	Services  []v1alpha1.JwtProtectedService
	Tokens    []v1alpha1.JwtToken
	// Unreadable says of which kinds the caller may not know.
	Unreadable []string
}

// Read lists all kinds in a namespace, or in all where it is empty, and the gateways, which are in none. A kind that the caller may not list is
// left out and named. The error says what kept everything from being read.
func Read(ctx context.Context, kube client.Reader, namespace string) (Inventory, error) {
	var i Inventory
	for n, list := range Lists() {
		kind := Kinds()[n]
		err := kube.List(ctx, list, Scope(list, namespace)...)
		switch {
		case err == nil:
			i.take(list)
		case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
			return Inventory{}, fmt.Errorf("the cluster knows no %s: is kong-jwt-operator installed? (%w)", kind, err)
		case apierrors.IsForbidden(err):
			i.Unreadable = append(i.Unreadable, kind)
		default:
			return Inventory{}, fmt.Errorf("list %ss: %w", kind, err)
		}
	}
	if len(i.Unreadable) == len(Kinds()) {
		where := "in namespace " + namespace
		if namespace == "" {
			where = "in all namespaces; without -A only those of one namespace are read"
		}
		return Inventory{}, errors.New("you may list none of the operator's kinds " + where)
	}
	return i, nil
}

func (i *Inventory) take(list client.ObjectList) {
	switch l := list.(type) {
	case *v1alpha1.KongGatewayList:
		i.Gateways = l.Items
	case *v1alpha1.JwtConsumerList:
		i.Consumers = l.Items
	case *v1alpha1.JwtProtectedServiceList:
		i.Services = l.Items
	case *v1alpha1.JwtTokenList:
		i.Tokens = l.Items
	}
}

// Lists are empty lists of the kinds, in the order of Kinds.
func Lists() []client.ObjectList {
	return []client.ObjectList{&v1alpha1.KongGatewayList{}, &v1alpha1.JwtConsumerList{}, &v1alpha1.JwtProtectedServiceList{}, &v1alpha1.JwtTokenList{}}
}

// Scope says where to look for a kind: in a namespace, or, for gateways, in none.
func Scope(list client.ObjectList, namespace string) []client.ListOption {
	if _, cluster := list.(*v1alpha1.KongGatewayList); cluster || namespace == "" {
		return nil
	}
	return []client.ListOption{client.InNamespace(namespace)}
}
