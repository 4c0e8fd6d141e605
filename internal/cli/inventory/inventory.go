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

// ErrNotInstalled says that the cluster does not have the operator's kinds.
var ErrNotInstalled = errors.New("is kong-jwt-operator installed?")

// errNothing says that the caller may read nothing.
var errNothing = errors.New("you may list none of the operator's kinds")

// Read lists all kinds in a namespace, or in all where it is empty, and the gateways, which are in none. A kind that
// the caller may not list is left out and named. The error says what kept everything from being read.
func Read(ctx context.Context, kube client.Reader, namespace string) (Inventory, error) {
	var i Inventory
	if namespace != "" {
		i.Namespaces = []string{namespace}
	}
	var gateways v1alpha1.KongGatewayList
	var consumers v1alpha1.JwtConsumerList
	var services v1alpha1.JwtProtectedServiceList
	var tokens v1alpha1.JwtTokenList
	lists := []v1alpha1.ResourceList{&gateways, &consumers, &services, &tokens}
	for n, kind := range v1alpha1.ResourceKinds() {
		err := kube.List(ctx, lists[n], Scope(kind, namespace)...)
		switch {
		case err == nil:
		case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
			return Inventory{}, fmt.Errorf("the cluster knows no %s: %w (%w)", kind.Name, ErrNotInstalled, err)
		case apierrors.IsForbidden(err):
			i.Unreadable = append(i.Unreadable, kind.Name)
		default:
			return Inventory{}, fmt.Errorf("list %ss: %w", kind.Name, err)
		}
	}
	if len(i.Unreadable) == len(lists) {
		where := "in namespace " + namespace
		if namespace == "" {
			where = "in all namespaces; without -A only those of one namespace are read"
		}
		return Inventory{}, fmt.Errorf("%w %s", errNothing, where)
	}
	i.Gateways, i.Consumers, i.Services, i.Tokens = gateways.Items, consumers.Items, services.Items, tokens.Items
	return i, nil
}

// ReadThese lists all kinds in all namespaces or, where the caller may not list consumers and services everywhere, in
// those of the named ones that the caller may read.
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

// KeepOwnGateways leaves out the gateways that none of the consumers and services is on: they are other namespaces'
// business.
func (i *Inventory) KeepOwnGateways() {
	i.Gateways = slices.DeleteFunc(i.Gateways, func(g v1alpha1.KongGateway) bool {
		return !slices.ContainsFunc(i.Consumers, func(c v1alpha1.JwtConsumer) bool { return c.Spec.GatewayRef.Name == g.Name }) &&
			!slices.ContainsFunc(i.Services, func(s v1alpha1.JwtProtectedService) bool { return s.Spec.GatewayRef.Name == g.Name })
	})
}

// Scope says where to look for a kind: in a namespace, or, for gateways, in none.
func Scope(kind v1alpha1.ResourceKind, namespace string) []client.ListOption {
	if kind.ClusterScoped || namespace == "" {
		return nil
	}
	return []client.ListOption{client.InNamespace(namespace)}
}
