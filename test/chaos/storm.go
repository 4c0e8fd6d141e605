package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

const (
	namespaces = 3
	// hands change resources at the same time, each its own.
	hands = 8
	// consumersOfHand and servicesOfHand are how many of each a hand juggles.
	consumersOfHand, servicesOfHand = 30, 8
)

// storm creates, changes and deletes resources.
type storm struct {
	kube  client.Client
	seed  uint64
	sites []*site
	moves atomic.Int64

	mu sync.Mutex
	// material is a fingerprint of what clients of a consumer were given first.
	material map[types.UID]string
}

func newStorm(ctx context.Context, w *world) (*storm, error) {
	s := &storm{kube: w.api.client, seed: w.seed, sites: w.sites, material: map[types.UID]string{}}
	for i := range namespaces {
		if err := s.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespaceOf(i)}}); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// gatewayOf is what the resources of a hand name: of four hands the last has those of the second gateway, if there is
// one.
func (s *storm) gatewayOf(hand int) v1alpha1.GatewayReference {
	if len(s.sites) > 1 && hand%4 == 3 {
		return v1alpha1.GatewayReference{Name: s.sites[1].gateway}
	}
	return v1alpha1.GatewayReference{Name: s.sites[0].gateway}
}

func namespaceOf(i int) string { return fmt.Sprintf("chaos-%d", i%namespaces) }

// run makes moves until ctx ends.
func (s *storm) run(ctx context.Context) error {
	var all errgroup.Group
	for hand := range hands {
		all.Go(func() error {
			random := rand.New(rand.NewPCG(s.seed, uint64(hand)+2)) //nolint:gosec // repeatable
			for ctx.Err() == nil {
				if err := s.move(ctx, hand, random); err != nil {
					return err
				}
				pause(ctx, time.Duration(random.IntN(100))*time.Millisecond)
			}
			return nil
		})
	}
	return all.Wait()
}

// move does one thing to one resource. What the kube-apiserver cannot do now is not done.
func (s *storm) move(ctx context.Context, hand int, random *rand.Rand) error {
	var object client.Object
	var change func()
	if random.IntN(5) > 0 {
		c := s.consumer(hand, random.IntN(consumersOfHand))
		object, change = c, func() { c.Spec.Groups, c.Spec.Revoked = groups(c.Namespace, random), random.IntN(10) == 0 }
	} else {
		service := s.service(hand, random.IntN(servicesOfHand))
		object, change = service, func() {
			service.Spec.Routes = routes(service.Name, 1+random.IntN(3))
			service.Spec.JWT.KeyClaimName = []string{"iss", "kid"}[random.IntN(2)]
		}
	}
	deleted := random.IntN(4) == 0
	key := client.ObjectKeyFromObject(object)
	err := s.kube.Get(ctx, key, object)
	switch {
	case client.IgnoreNotFound(err) != nil, err == nil && !object.GetDeletionTimestamp().IsZero():
		return nil //nolint:nilerr // The kube-apiserver is away, or the resource is going.
	case err == nil && s.lost(ctx, object) != nil:
		return s.lost(ctx, object)
	case err != nil:
		change()
		err = s.kube.Create(ctx, object)
	case deleted:
		err = s.kube.Delete(ctx, object)
	default:
		change()
		err = s.kube.Update(ctx, object)
	}
	if err == nil {
		s.moves.Add(1)
	}
	return nil //nolint:nilerr // A conflict, or the kube-apiserver is away: another move comes.
}

// lost says that clients of a consumer were given other material than at first: nothing here asks for a rotation.
func (s *storm) lost(ctx context.Context, object client.Object) error {
	if _, generates := object.(*v1alpha1.JwtConsumer); !generates {
		return nil
	}
	var secret corev1.Secret
	if s.kube.Get(ctx, client.ObjectKey{Namespace: object.GetNamespace(), Name: object.GetName() + "-jwt"}, &secret) != nil {
		return nil // not there yet, or the kube-apiserver is away
	}
	if owner := metav1.GetControllerOf(&secret); owner == nil || owner.UID != object.GetUID() {
		return nil // of a former resource of that name
	}
	now := fingerprint(append(secret.Data["key"], secret.Data["secret"]...))
	s.mu.Lock()
	defer s.mu.Unlock()
	first, known := s.material[object.GetUID()]
	if known && first != now {
		return fmt.Errorf("%s/%s: its material was replaced, and nobody asked for it", object.GetNamespace(), object.GetName())
	}
	s.material[object.GetUID()] = now
	return nil
}

func (s *storm) consumer(hand, i int) *v1alpha1.JwtConsumer {
	name := fmt.Sprintf("consumer-%d-%02d", hand, i)
	return &v1alpha1.JwtConsumer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: name},
		Spec: v1alpha1.JwtConsumerSpec{
			GatewayRef:  s.gatewayOf(hand),
			Credentials: []v1alpha1.Credential{{Name: "primary", Algorithm: "HS256", Generate: &v1alpha1.Generate{SecretName: name + "-jwt"}}},
		},
	}
}

func groups(namespace string, random *rand.Rand) []string {
	var some []string
	for _, name := range []string{"readers", "writers", "admins"} {
		if random.IntN(2) == 0 {
			some = append(some, namespace+"."+name)
		}
	}
	return some
}

func (s *storm) service(hand, i int) *v1alpha1.JwtProtectedService {
	name := fmt.Sprintf("service-%d-%02d", hand, i)
	return &v1alpha1.JwtProtectedService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: name},
		Spec: v1alpha1.JwtProtectedServiceSpec{
			GatewayRef: s.gatewayOf(hand),
			Upstream:   &v1alpha1.Upstream{URL: "http://" + name + ".example.com"},
		},
	}
}

func routes(service string, count int) []v1alpha1.Route {
	var some []v1alpha1.Route
	for i := range count {
		some = append(some, v1alpha1.Route{Name: fmt.Sprintf("route-%d", i), Paths: []string{fmt.Sprintf("/%s/%d", service, i)}})
	}
	return some
}

// resources are what there is at the end.
type resources struct {
	consumers v1alpha1.JwtConsumerList
	services  v1alpha1.JwtProtectedServiceList
}

// of are those of a gateway.
func (r resources) of(gateway string) (some resources) {
	for _, c := range r.consumers.Items {
		if c.Spec.GatewayRef.Name == gateway {
			some.consumers.Items = append(some.consumers.Items, c)
		}
	}
	for _, s := range r.services.Items {
		if s.Spec.GatewayRef.Name == gateway {
			some.services.Items = append(some.services.Items, s)
		}
	}
	return some
}

func (s *storm) list(ctx context.Context) (r resources, err error) {
	if err := s.kube.List(ctx, &r.consumers); err != nil {
		return r, err
	}
	if err := s.kube.List(ctx, &r.services); err != nil {
		return r, err
	}
	r.services.Items = slices.DeleteFunc(r.services.Items, func(s v1alpha1.JwtProtectedService) bool {
		return s.Namespace == tenantNamespace
	})
	return r, nil
}

// deleteAll deletes every resource, and returns when they are gone. tend is called while it waits.
func (s *storm) deleteAll(ctx context.Context, tend func(context.Context) error) error {
	all, err := s.list(ctx)
	if err != nil {
		return err
	}
	for i := range all.consumers.Items {
		if err := client.IgnoreNotFound(s.kube.Delete(ctx, &all.consumers.Items[i])); err != nil {
			return err
		}
	}
	for i := range all.services.Items {
		if err := client.IgnoreNotFound(s.kube.Delete(ctx, &all.services.Items[i])); err != nil {
			return err
		}
	}
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, recovery, true, func(ctx context.Context) (bool, error) {
		if err := tend(ctx); err != nil {
			return false, err
		}
		all, err = s.list(ctx)
		return len(all.consumers.Items)+len(all.services.Items) == 0, err
	})
	if err != nil {
		return fmt.Errorf("%d consumers and %d services do not go: %w", len(all.consumers.Items), len(all.services.Items), err)
	}
	return nil
}
