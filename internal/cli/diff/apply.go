package diff

import (
	"context"
	"fmt"
	"io"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/manifests"
)

// fieldManager of the dry run; nothing is stored under it.
const fieldManager = "kubectl-kongjwt-diff"

// strict has the API server refuse fields that a kind does not have: without it they are dropped, and the diff would
// say nothing of them.
const strict = client.FieldValidation(metav1.FieldValidationStrict)

// change leads from the resources as they are to what they would be.
type change struct {
	kube          client.Client
	before, after world
	unknown       []string
	// unsettled are the resources that are not in Kong as they say, by kind namespace/name.
	unsettled map[string]inventory.Resource
}

// read reads the objects of all files. What names no namespace is of the caller's.
func read(in io.Reader, files []string, namespace string) ([]*unstructured.Unstructured, error) {
	found, err := manifests.Read(in, files)
	if err != nil {
		return nil, fmt.Errorf("--filename: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, f := range found {
		object := &unstructured.Unstructured{Object: f.Content}
		if !slices.Contains([]string{v1alpha1.KindKongGateway, kindNamespace}, object.GetKind()) && object.GetNamespace() == "" {
			object.SetNamespace(namespace)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// newChange reads what there is: in all namespaces, or in those of the objects where not all may be read.
func newChange(ctx context.Context, kube client.Client, namespace string, objects []*unstructured.Unstructured) (*change, error) {
	namespaces := []string{namespace}
	for _, object := range objects {
		if isOurs(object) && object.GetNamespace() != "" {
			namespaces = append(namespaces, object.GetNamespace())
		}
	}
	found, err := inventory.ReadThese(ctx, kube, namespaces...)
	if err != nil {
		return nil, err
	}
	c := &change{kube: kube, before: newWorld(found), unsettled: map[string]inventory.Resource{}}
	for _, r := range found.Resources() {
		if r.Health == inventory.Stalled || r.Health == inventory.NotSeen {
			c.unsettled[r.Kind+" "+r.Path()] = r
		}
	}
	c.after = c.before.next()
	if found.Namespaces != nil {
		c.unknown = append(c.unknown, "you may not read the resources of all namespaces: groups of consumers elsewhere, and who else asks for a name, are not looked at")
	}
	if !c.before.gatewaysKnown {
		c.unknown = append(c.unknown, "you may not read KongGateways: what their policy forbids is not looked at")
	}
	return c, nil
}

const kindNamespace, kindSecret = "Namespace", "Secret"

func isOurs(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().Group == v1alpha1.GroupVersion.Group
}

// apply puts into the world what the API server would store of an object. What has nothing to do with Kong is passed
// over.
func (c *change) apply(ctx context.Context, object *unstructured.Unstructured) error {
	name := client.ObjectKeyFromObject(object)
	title := object.GetKind() + " " + name.String()
	switch kind := object.GetKind(); {
	case isOurs(object) && (kind == v1alpha1.KindKongGateway || kind == v1alpha1.KindJwtConsumer || kind == v1alpha1.KindJwtProtectedService):
		if err := c.applyResource(ctx, object); err != nil {
			return fmt.Errorf("%s: %w", title, err)
		}
	case object.GetAPIVersion() == "v1" && kind == kindNamespace:
		c.after.labels[object.GetName()] = object.GetLabels()
	case object.GetAPIVersion() == "v1" && kind == kindSecret:
		secret := &corev1.Secret{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, secret) != nil {
			return fmt.Errorf("%s: it cannot be read as a Secret", title) // the error would quote it
		}
		return c.applySecret(ctx, secret)
	}
	return nil
}

func (c *change) applyResource(ctx context.Context, object *unstructured.Unstructured) error {
	stored, rotates, err := store(ctx, c.kube, object)
	if err != nil {
		return fmt.Errorf("the API server would refuse it: %w", err)
	}
	key := stored.GetNamespace() + "/" + stored.GetName()
	var target any
	switch stored.GetKind() {
	case v1alpha1.KindKongGateway:
		gateway := &v1alpha1.KongGateway{}
		target, c.after.gateways[stored.GetName()] = gateway, gateway
		defer c.tellOfGateway(gateway)
	case v1alpha1.KindJwtConsumer:
		consumer := &v1alpha1.JwtConsumer{}
		target, c.after.consumers[key] = consumer, consumer
	default:
		service := &v1alpha1.JwtProtectedService{}
		target, c.after.services[key] = service, service
	}
	if rotates {
		c.unknown = append(c.unknown, stored.GetKind()+" "+key+": its annotation "+v1alpha1.AnnotationRotate+" asks for a rotation, whose requests come one after the other")
	}
	c.after.places[stored.GetKind()+" "+key] = len(c.after.places)
	if r, unsettled := c.unsettled[stored.GetKind()+" "+key]; unsettled {
		c.unknown = append(c.unknown, fmt.Sprintf("%s %s: it is %s (%s), so Kong may not hold what its spec says now", stored.GetKind(), key, r.Health, r.Reason))
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, target)
}

// tellOfGateway says that a gateway changes in what is not compared.
func (c *change) tellOfGateway(gateway *v1alpha1.KongGateway) {
	former := c.before.gateways[gateway.Name]
	if former == nil {
		former = &v1alpha1.KongGateway{}
	}
	spec := *former.Spec.DeepCopy()
	spec.Policy, spec.AllowedNamespaces, spec.Suspend = gateway.Spec.Policy, gateway.Spec.AllowedNamespaces, gateway.Spec.Suspend
	if !equality.Semantic.DeepEqual(spec, gateway.Spec) {
		c.unknown = append(c.unknown, "KongGateway "+gateway.Name+": its policy and who it admits is looked at, and not what else of it changes")
	}
}

// applySecret takes up what a Secret holds and would hold.
func (c *change) applySecret(ctx context.Context, secret *corev1.Secret) error {
	var stored corev1.Secret
	key := client.ObjectKeyFromObject(secret)
	err := c.kube.Get(ctx, key, &stored)
	switch {
	case apierrors.IsForbidden(err):
		c.unknown = append(c.unknown, "Secret "+key.String()+": you may not read it, so whether it changes a credential or a plugin is not known")
		return nil
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("read Secret %s: %w", key, err)
	}
	content := map[string][]byte{}
	for name, value := range secret.Data {
		content[name] = value
	}
	for name, value := range secret.StringData {
		content[name] = []byte(value)
	}
	c.before.secrets[key.String()], c.after.secrets[key.String()] = stored.Data, content
	return nil
}

// readNamespaces reads the labels of the namespaces whose admission depends on them.
func (c *change) readNamespaces(ctx context.Context) {
	for _, s := range c.after.subjects() {
		gateway := c.after.gateways[s.gateway]
		if gateway == nil || gateway.Spec.AllowedNamespaces.From != v1alpha1.NamespacesSelector {
			continue
		}
		if _, known := c.before.labels[s.namespace]; known {
			continue
		}
		var namespace corev1.Namespace
		err := c.kube.Get(ctx, client.ObjectKey{Name: s.namespace}, &namespace)
		if client.IgnoreNotFound(err) != nil {
			c.unknown = append(c.unknown, "namespace "+s.namespace+": you may not read it, so whether its gateway takes its resources is not known")
			c.before.labels[s.namespace] = nil // asked already
			continue
		}
		c.before.labels[s.namespace] = orEmpty(namespace.Labels)
		if _, given := c.after.labels[s.namespace]; !given {
			c.after.labels[s.namespace] = orEmpty(namespace.Labels)
		}
	}
	slices.Sort(c.unknown)
}

func orEmpty(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// store asks the API server what it would store: with defaults, and refused where its rules say so. The spec is taken
// to be whole, as it is where a manifest is the only source of a resource. rotates says that the object asks for a
// rotation.
func store(ctx context.Context, kube client.Client, object *unstructured.Unstructured) (stored *unstructured.Unstructured, rotates bool, err error) {
	asked := object.GetAnnotations()[v1alpha1.AnnotationRotate]
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error { // the operator writes to it too
		stored = &unstructured.Unstructured{}
		stored.SetGroupVersionKind(object.GroupVersionKind())
		err := kube.Get(ctx, client.ObjectKeyFromObject(object), stored)
		if apierrors.IsNotFound(err) {
			stored = object.DeepCopy()
			return kube.Create(ctx, stored, client.DryRunAll, client.FieldOwner(fieldManager), strict)
		}
		if err != nil {
			return err
		}
		rotates = asked != "" && asked != stored.GetAnnotations()[v1alpha1.AnnotationRotate]
		stored.Object["spec"] = object.Object["spec"]
		if labels := object.GetLabels(); labels != nil {
			stored.SetLabels(labels)
		}
		return kube.Update(ctx, stored, client.DryRunAll, client.FieldOwner(fieldManager), strict)
	})
	return stored, rotates, err
}
