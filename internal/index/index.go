// Package index declares the indexes of the cache: from what changed to the resources that name it.
package index

import (
	"context"
	"hash/fnv"
	"slices"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Names of the indexes.
const (
	// Gateway indexes users by the KongGateway of the spec, and by the one whose Kong holds their entities.
	Gateway = "gateway"
	// Secret indexes by Secret name, or by namespace/name where the resource is cluster-scoped.
	Secret = "secret"
	// Service indexes by Kubernetes Service name, or by namespace/name where the resource is cluster-scoped.
	Service = "service"
	// UniqueKey indexes by what a spec wants and Kong keeps once; see UniqueKeyValue.
	UniqueKey = "uniqueKey"
	// Consumer indexes by namespace/name of a JwtConsumer that the resource names.
	Consumer = "consumer"
	// Group indexes consumers by the groups of their specs, and services by those that their access names; see
	// GatewayValue.
	Group = "group"
	// Anonymous indexes services by the username of spec.jwt.anonymous; see GatewayValue.
	Anonymous = "anonymous"
	// Selector indexes the services whose spec.access has a consumerSelector, by SelectsConsumers.
	Selector = "selector"
	// KeySet indexes the consumers that follow an issuer, by KongGateway name.
	KeySet = "keySet"
	// Expiration indexes the services that set spec.jwt.maximumExpiration, by KongGateway name.
	Expiration = "expiration"
)

// SelectsConsumers is the only value of the index Selector.
const SelectsConsumers = "yes"

// definition is one index of one kind.
type definition struct {
	kind   string
	name   string
	values func(v1alpha1.Resource) []string
	// bucketed says that values share sets: what is found has to be looked at again.
	bucketed bool
}

var definitions = slices.Concat(gatewayIndexes(), consumerIndexes(), serviceIndexes(), tokenIndexes())

// Add adds all indexes to a cache.
func Add(ctx context.Context, fields client.FieldIndexer) error {
	return Each(func(object client.Object, name string, values client.IndexerFunc) error {
		return fields.IndexField(ctx, object, name, values)
	})
}

// Each calls add with every index, until one fails. A fake client is given them this way.
func Each(add func(object client.Object, name string, values client.IndexerFunc) error) error {
	for _, d := range definitions {
		kind, _ := v1alpha1.KindNamed(d.kind)
		if err := add(kind.New(), d.name, d.stored); err != nil {
			return err
		}
	}
	return nil
}

// buckets is how many sets the values of an index share that has nearly as many values as there are resources. The
// cache has two sets of some 300 bytes for every value: with four values a consumer they would be the largest part of
// all that is kept of one. All of a set is looked through for one value: of 10,000 consumers with four, ten.
const buckets = 512

// stored gives what the cache indexes an object by.
func (d definition) stored(object client.Object) []string {
	values := d.valuesOf(object)
	for at, value := range values {
		values[at] = d.storedAs(value)
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func (d definition) storedAs(value string) string {
	if !d.bucketed {
		return value
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(value)) // it takes everything
	return strconv.Itoa(int(sum.Sum32() % buckets))
}

func (d definition) valuesOf(object client.Object) []string {
	resource, ok := object.(v1alpha1.Resource)
	if !ok {
		return nil
	}
	return d.values(resource)
}

// has says whether an object has a value itself, not just another of the same bucket.
func (d definition) has(object client.Object, value string) bool {
	return slices.Contains(d.valuesOf(object), value)
}

// named finds an index of a kind. One that does not exist has no values.
func named(kind, name string) definition {
	for _, d := range definitions {
		if d.kind == kind && d.name == name {
			return d
		}
	}
	return definition{kind: kind, name: name, values: func(v1alpha1.Resource) []string { return nil }}
}

// define makes an index of a function over one kind.
func define[T v1alpha1.Resource](kind, name string, values func(T) []string) definition {
	return definition{kind: kind, name: name, values: func(resource v1alpha1.Resource) []string {
		typed, ok := resource.(T)
		if !ok {
			return nil
		}
		found := slices.DeleteFunc(values(typed), func(value string) bool { return value == "" })
		slices.Sort(found)
		return slices.Compact(found)
	}}
}

// defineBucketed is for values that are nearly all different.
func defineBucketed[T v1alpha1.Resource](kind, name string, values func(T) []string) definition {
	d := define(kind, name, values)
	d.bucketed = true
	return d
}
