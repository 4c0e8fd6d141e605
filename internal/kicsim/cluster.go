package kicsim

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CRDs are custom resource definitions of the controller and of Gateway API, with the fields that this project uses:
// crds/*.yaml.
//
//go:embed crds/*.yaml
var CRDs embed.FS

// Cluster is a store at an API server.
type Cluster struct {
	Client client.Client
	// Component is the source of events; "kong-client" as the controller's by default.
	Component string
}

// watched are the kinds that the controller reads, first those that name others: on a busy machine listings are a
// while apart, and what was written before a KongConsumer is to be there when that one is.
var watched = []schema.GroupVersionKind{
	{Group: Group, Version: "v1", Kind: "KongConsumer"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "Gateway"},
	{Group: "gateway.networking.k8s.io", Version: "v1beta1", Kind: "ReferenceGrant"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Version: "v1", Kind: "Service"},
	{Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice"},
	{Group: Group, Version: "v1", Kind: "KongPlugin"},
	{Group: Group, Version: "v1", Kind: "KongClusterPlugin"},
	{Version: "v1", Kind: "Secret"},
}

// List implements Store. A kind that is not installed has no objects.
func (c Cluster) List(ctx context.Context) ([]Object, error) {
	var all []Object
	for _, kind := range watched {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := c.Client.List(ctx, list)
		if apimeta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// WriteStatus implements Store.
func (c Cluster) WriteStatus(ctx context.Context, on Reference, status map[string]any) error {
	o := &unstructured.Unstructured{}
	for _, kind := range watched {
		if kind.Kind == on.Kind {
			o.SetGroupVersionKind(kind)
		}
	}
	o.SetNamespace(on.Namespace)
	o.SetName(on.Name)
	stamp(status)
	err := c.Client.Status().Patch(ctx, o, client.RawPatch(mergePatch, []byte(encode(fields{"status": status}))))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of %s: %w", on, err)
	}
	return nil
}

const mergePatch = "application/merge-patch+json"

// stamp gives conditions the time that schemas ask for.
func stamp(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			stamp(element)
		}
	case map[string]any:
		if v["type"] != nil && v["reason"] != nil {
			v["lastTransitionTime"] = time.Now().UTC().Format(time.RFC3339)
		}
		for _, inner := range v {
			stamp(inner)
		}
	}
}

// Emit implements Store: an event that is told of again counts up.
func (c Cluster) Emit(ctx context.Context, event Event) error {
	sum := sha256.Sum256([]byte(fmt.Sprint(event)))
	now := metav1.Now()
	namespace := event.On.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	name := client.ObjectKey{Namespace: namespace, Name: strings.ToLower(event.On.Name) + "." +
		hex.EncodeToString(sum[:8])}
	var held corev1.Event
	err := c.Client.Get(ctx, name, &held)
	if err == nil {
		held.Count++
		held.LastTimestamp = now
		return c.Client.Update(ctx, &held)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	component := c.Component
	if component == "" {
		component = "kong-client"
	}
	err = c.Client.Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		InvolvedObject: corev1.ObjectReference{Kind: event.On.Kind, Namespace: event.On.Namespace, Name: event.On.Name},
		Reason:         event.Reason, Message: event.Message, Type: corev1.EventTypeWarning,
		Source: corev1.EventSource{Component: component}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	})
	var notFound *apierrors.StatusError
	if errors.As(err, &notFound) && apierrors.IsNotFound(err) {
		return nil // its namespace is gone
	}
	return err
}
