// Package inventory reads all resources of the operator that the caller may read, and says how each of them is.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	// Namespaces are those that were read; nil for all.
	Namespaces []string
	// Unreadable says of which kinds the caller may not know.
	Unreadable []string
}

// errNothing says that the caller may read nothing.
var errNothing = errors.New("you may list none of the operator's kinds")

// Read lists all kinds in a namespace, or in all where it is empty, and the gateways, which are in none. A kind that the caller may not list is
// left out and named. The error says what kept everything from being read.
func Read(ctx context.Context, kube client.Reader, namespace string) (Inventory, error) {
	var i Inventory
	if namespace != "" {
		i.Namespaces = []string{namespace}
	}
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
		return Inventory{}, fmt.Errorf("%w %s", errNothing, where)
	}
	return i, nil
}

// ReadThese lists all kinds in all namespaces or, where the caller may not list consumers and services everywhere, in those of the named ones that the caller may
// read.
func ReadThese(ctx context.Context, kube client.Reader, namespaces ...string) (Inventory, error) {
	all, err := Read(ctx, kube, "")
	if err == nil && !slices.Contains(all.Unreadable, v1alpha1.KindJwtConsumer) && !slices.Contains(all.Unreadable, v1alpha1.KindJwtProtectedService) {
		return all, nil
	}
	var found Inventory
	var nothing error
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		one, err := Read(ctx, kube, namespace)
		if errors.Is(err, errNothing) {
			nothing = err
			continue
		}
		if err != nil {
			return Inventory{}, err
		}
		found.Namespaces = append(found.Namespaces, namespace)
		found.Gateways = one.Gateways // they are in no namespace
		found.Consumers = append(found.Consumers, one.Consumers...)
		found.Services = append(found.Services, one.Services...)
		found.Tokens = append(found.Tokens, one.Tokens...)
		found.Unreadable = append(found.Unreadable, one.Unreadable...)
	}
	if len(found.Namespaces) == 0 {
		return Inventory{}, nothing
	}
	slices.Sort(found.Unreadable)
	found.Unreadable = slices.Compact(found.Unreadable)
	return found, nil
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

// KeepOwnGateways leaves out the gateways that none of the consumers and services is on: they are other namespaces' business.
func (i *Inventory) KeepOwnGateways() {
	i.Gateways = slices.DeleteFunc(i.Gateways, func(g v1alpha1.KongGateway) bool {
		return !slices.ContainsFunc(i.Consumers, func(c v1alpha1.JwtConsumer) bool { return c.Spec.GatewayRef.Name == g.Name }) &&
			!slices.ContainsFunc(i.Services, func(s v1alpha1.JwtProtectedService) bool { return s.Spec.GatewayRef.Name == g.Name })
	})
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
