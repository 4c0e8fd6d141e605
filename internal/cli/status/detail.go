package status

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/events"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Detail is what status says of one resource.
type Detail struct {
	Resource
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Credentials of a JwtConsumer, with the times at which something is due.
	Credentials []v1alpha1.CredentialStatus `json:"credentials,omitempty"`
	// MayCall lists the services that a consumer may call, CallableBy the consumers that may call a service, as
	// far as the caller may read them.
	MayCall    []string `json:"mayCall,omitempty"`
	CallableBy []string `json:"callableBy,omitempty"`
	// Events, the newest first.
	Events []events.Event `json:"events,omitempty"`

	object v1alpha1.Resource
	now    time.Time
}

// one prints one resource.
func (o *options) one(ctx context.Context, e *env.Env, kube client.Reader, reference string) error {
	chosen, err := (&selection.Flags{}).Find(ctx, e, kube, []string{reference})
	if err != nil {
		return err
	}
	object := chosen[0].Resource
	found, err := inventory.ReadThese(ctx, kube, object.GetNamespace())
	if err != nil {
		return err
	}
	detail := detailOf(&found, object)
	detail.now = e.Clock.Now()
	var happened corev1.EventList
	// Who may not read them sees none.
	if err := kube.List(ctx, &happened, client.InNamespace(object.GetNamespace())); err == nil {
		detail.Events = eventsOf(happened.Items, object)
	}
	err = o.output.Print(e.Out, output.Answer{
		Kind: "ResourceStatus", Value: detail, Names: []string{detail.ID()},
		Text: func(out io.Writer, style output.Style, _ bool) error { return detail.print(out, style, o.limit) },
	})
	if err == nil && !works(detail.Health) {
		return env.ErrNegative
	}
	return err
}

// detailOf is pure.
func detailOf(found *inventory.Inventory, object v1alpha1.Resource) Detail {
	d := Detail{object: object, Conditions: *object.GetConditions()}
	for _, r := range found.Resources() {
		if r.Kind == object.KindName() && r.Namespace == object.GetNamespace() && r.Name == object.GetName() {
			d.Resource = Resource{Resource: r, Remedy: remedyOf(r)}
		}
	}
	switch o := object.(type) {
	case *v1alpha1.JwtConsumer:
		d.Credentials = o.Status.Credentials
		for i := range found.Services {
			if s := &found.Services[i]; mayCall(s, o) {
				d.MayCall = append(d.MayCall, selection.Path(s))
			}
		}
	case *v1alpha1.JwtProtectedService:
		for i := range found.Consumers {
			if c := &found.Consumers[i]; mayCall(o, c) {
				d.CallableBy = append(d.CallableBy, selection.Path(c))
			}
		}
	}
	slices.Sort(d.MayCall)
	slices.Sort(d.CallableBy)
	return d
}

// mayCall says whether a service's access lets a consumer in.
func mayCall(s *v1alpha1.JwtProtectedService, c *v1alpha1.JwtConsumer) bool {
	if s.Spec.GatewayRef.Name != c.Spec.GatewayRef.Name || c.Spec.Revoked {
		return false
	}
	if s.Spec.Access == nil {
		return true
	}
	if slices.ContainsFunc(s.Spec.Access.Groups, func(group string) bool { return slices.Contains(c.Spec.Groups, group) }) {
		return true
	}
	named, err := desired.NamesConsumer(s, c)
	return err == nil && named
}

// eventsOf gives the events about one resource, the newest first.
func eventsOf(all []corev1.Event, object v1alpha1.Resource) []events.Event {
	found := slices.DeleteFunc(events.Of(all), func(e events.Event) bool {
		return e.Kind != object.KindName() || e.Name != object.GetName()
	})
	slices.Reverse(found)
	return found
}

func (d *Detail) print(out io.Writer, style output.Style, limit int) error {
	var b strings.Builder
	gateway := ""
	if d.Gateway != "" {
		gateway = " on gateway " + d.Gateway
	}
	fmt.Fprintf(&b, "%s%s\n", style.Bold(d.Kind+" "+d.Path()), gateway)
	fmt.Fprintf(&b, "%s  %s\n", d.Health, output.Line(strings.TrimPrefix(d.Reason+": "+d.Message, ": ")))
	if d.Remedy != "" {
		fmt.Fprintf(&b, "  %s\n", d.Remedy)
	}
	for _, c := range d.Credentials {
		fmt.Fprintf(&b, "%s %s  %s, key %s, %s", style.Bold("Credential"), c.Name, c.State, output.Line(c.Key), c.Algorithm)
		if c.SecretName != "" {
			fmt.Fprintf(&b, ", Secret %s", c.SecretName)
		}
		if c.RotationTime != nil {
			fmt.Fprintf(&b, ", rotates %s", output.When(c.RotationTime, d.now))
		}
		if c.RetirementTime != nil {
			fmt.Fprintf(&b, ", retires %s", output.When(c.RetirementTime, d.now))
		}
		b.WriteString("\n")
	}
	if t, ok := d.object.(*v1alpha1.JwtToken); ok {
		fmt.Fprintf(&b, "%s  in Secret %s, expires %s, renewed %s\n", style.Bold("Token"), t.Spec.SecretName,
			output.When(t.Status.ExpirationTime, d.now), output.When(t.Status.RenewalTime, d.now))
	}
	d.names(&b, style, "May call", d.MayCall, limit)
	d.names(&b, style, "Callable by", d.CallableBy, limit)
	for i, e := range d.Events {
		if i == orAll(limit, len(d.Events)) {
			break
		}
		fmt.Fprintf(&b, "%s  %s, %s: %s\n", style.Bold("Event"), output.WhenTime(e.Time.Time, d.now), e.Reason, output.Line(e.Message))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (d *Detail) names(b *strings.Builder, style output.Style, title string, names []string, limit int) {
	if len(names) == 0 {
		return
	}
	shown := orAll(limit, len(names))
	fmt.Fprintf(b, "%s  %s", style.Bold(title), strings.Join(names[:shown], ", "))
	if rest := len(names) - shown; rest > 0 {
		fmt.Fprintf(b, " and %d more", rest)
	}
	b.WriteString("\n")
}
