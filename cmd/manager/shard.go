package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// shard is the part of the resources that this process works on. The zero value is all of them.
type shard struct {
	namespaces []string
	selector   string
}

func (s shard) whole() bool { return len(s.namespaces) == 0 && s.selector == "" }

// lease is the name of the shard's lease: each has a leader of its own.
func (s shard) lease() string {
	if s.whole() {
		return leaseName
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(s.namespaces)), ",") + "\n" + s.selector))
	return leaseName + "-" + hex.EncodeToString(sum[:4])
}

// ours are the kinds that are divided. KongGateways are everybody's.
func ours() []client.Object {
	return []client.Object{&v1alpha1.JwtConsumer{}, &v1alpha1.JwtProtectedService{}, &v1alpha1.JwtToken{}}
}

// narrow makes the cache hold the shard's resources, and Secrets of its namespaces and of further ones.
func (s shard) narrow(o *cache.Options, further []string) error {
	selector, err := labels.Parse(s.selector)
	if err != nil {
		return fmt.Errorf("--watch-label-selector: %w", err)
	}
	if o.ByObject == nil {
		o.ByObject = map[client.Object]cache.ByObject{}
	}
	for _, object := range ours() {
		o.ByObject[object] = cache.ByObject{Label: selector, Namespaces: namespaceSet(s.namespaces)}
	}
	o.DefaultNamespaces = namespaceSet(s.namespaces)
	secrets := &metav1.PartialObjectMetadata{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	only := cache.ByObject{Transform: nameAndVersion}
	if len(s.namespaces) > 0 {
		only.Namespaces = namespaceSet(slices.Concat(s.namespaces, further))
		// Kong may be anywhere, and addresses are no secrets.
		everywhere := cache.ByObject{Namespaces: namespaceSet([]string{cache.AllNamespaces})}
		o.ByObject[&corev1.Service{}], o.ByObject[&discoveryv1.EndpointSlice{}] = everywhere, everywhere
	}
	o.ByObject[secrets] = only
	return nil
}

func namespaceSet(names []string) map[string]cache.Config {
	if len(names) == 0 {
		return nil
	}
	set := map[string]cache.Config{}
	for _, name := range names {
		set[name] = cache.Config{}
	}
	return set
}

// nameAndVersion keeps of a Secret's metadata what the watches look at. There may be many Secrets in a cluster that
// are nothing to us.
func nameAndVersion(object any) (any, error) {
	meta, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	return sightingOf(meta), nil
}

// inScope says whether an owner is in the shard, as far as the cache knows; nil where everything is.
func (s shard) inScope(ctx context.Context, reader client.Reader) func(desired.Owner) bool {
	if s.whole() {
		return nil
	}
	return func(owner desired.Owner) bool {
		var object client.Object
		switch owner.Kind {
		case v1alpha1.KindJwtConsumer:
			object = &v1alpha1.JwtConsumer{}
		case v1alpha1.KindJwtProtectedService:
			object = &v1alpha1.JwtProtectedService{}
		default:
			return false
		}
		key := client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}
		return reader.Get(ctx, key, object) == nil
	}
}
