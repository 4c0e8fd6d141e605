// Package kicsim is a stand-in for Kong Ingress Controller 3.5 and the controller that Kong Operator 2.2 embeds: it
// makes of Kubernetes objects what recordings of the real ones say (test/contract/ingress), and gives it to Kongs
// without a database by POST /config. What it writes back to objects, and which events it emits, is as recorded too.
//
// It knows the kinds and fields that this project uses, and no others. Upstreams and targets are part of what it
// translates; the simulated Kong has none, so that a service is given the address of its first target.
package kicsim

import (
	"context"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Object is a Kubernetes object as JSON has it.
type Object = unstructured.Unstructured

// Group is the API group of the controller's own kinds.
const Group = "configuration.konghq.com"

// Names of annotations and labels that the controller reads.
const (
	annotationClass   = "kubernetes.io/ingress.class"
	annotationPrefix  = "konghq.com/"
	annotationPlugins = annotationPrefix + "plugins"
	annotationTags    = annotationPrefix + "tags"
	labelCredential   = annotationPrefix + "credential"
)

// SyncPeriod is the time between two looks whether something changed; StartDelay is how long after its start a
// controller looks first.
const (
	SyncPeriod = 3 * time.Second
	StartDelay = 8200 * time.Millisecond
)

// Options are how a controller is run.
type Options struct {
	// Class is the ingress class; "kong" by default.
	Class string
	// Nodes are the addresses of the Admin APIs.
	Nodes []string
	// NodeNames are how messages call the nodes; their addresses by default.
	NodeNames []string
	// Pod is the controller's own, which events are about: namespace/name.
	Pod string
	// Fallback is the feature gate FallbackConfiguration; LastValid the flag --use-last-valid-config-for-fallback.
	Fallback, LastValid bool
	// SecretLabel is a label that Secrets need so that the controller sees them, as Kong Operator sets it. KIC's
	// flag
	// --secret-label-selector does not keep credentials out, and is not this.
	SecretLabel string
	// CombinedServices shares a Kong service among HTTPRoutes with the same backends, as Kong Operator sets it.
	CombinedServices bool
	// Locate says where the simulated Kong finds a target; as it is by default.
	Locate func(host string, port int) (string, int)
	// Client asks the Admin APIs; http.DefaultClient by default.
	Client *http.Client
}

// Reference names an object.
type Reference struct{ Kind, Namespace, Name string }

func (r Reference) String() string { return r.Kind + "/" + r.Name }

func referenceTo(o *Object) Reference {
	return Reference{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Event is an event that the controller emits; all are Warnings.
type Event struct {
	On              Reference
	Reason, Message string
}

// Store is where a controller reads objects, and what it writes to.
type Store interface {
	// List gives all objects of the kinds that the controller watches.
	List(ctx context.Context) ([]Object, error)
	// WriteStatus replaces an object's status.
	WriteStatus(ctx context.Context, on Reference, status map[string]any) error
	// Emit tells of an event; the same event is told of again and again.
	Emit(ctx context.Context, event Event) error
}

func (o Options) withDefaults() Options {
	if o.Class == "" {
		o.Class = "kong"
	}
	if o.NodeNames == nil {
		o.NodeNames = o.Nodes
	}
	if o.Locate == nil {
		o.Locate = func(host string, port int) (string, int) { return host, port }
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	return o
}

// annotation reads one of the controller's annotations.
func annotation(o *Object, name string) string { return o.GetAnnotations()[annotationPrefix+name] }

// split reads a list of names, with commas between them.
func split(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// tagsOf are the tags that an entity gets of its object.
func tagsOf(o *Object) []any {
	tags := []any{"k8s-name:" + o.GetName()}
	if o.GetNamespace() != "" {
		tags = append(tags, "k8s-namespace:"+o.GetNamespace())
	}
	tags = append(tags, "k8s-kind:"+o.GetKind(), "k8s-uid:"+string(o.GetUID()))
	kind := o.GroupVersionKind()
	if kind.Group != "" {
		tags = append(tags, "k8s-group:"+kind.Group)
	}
	tags = append(tags, "k8s-version:"+kind.Version)
	for _, tag := range split(o.GetAnnotations()[annotationTags]) {
		tags = append(tags, tag)
	}
	return tags
}
