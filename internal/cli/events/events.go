// Package events is kubectl kongjwt events: what happened to the operator's resources.
package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

// Event is one about a resource of the operator's.
type Event struct {
	Time      metav1.Time `json:"time"`
	Type      string      `json:"type"`
	Reason    string      `json:"reason"`
	Kind      string      `json:"kind"`
	Namespace string      `json:"namespace,omitempty"`
	Name      string      `json:"name"`
	// Count is how often it happened, as far as Kubernetes counted.
	Count   int32  `json:"count"`
	Message string `json:"message"`
}

// Of reads those events that are about resources of the operator's, the oldest first.
func Of(all []corev1.Event) (found []Event) {
	for _, e := range all {
		about := e.InvolvedObject
		if _, known := v1alpha1.KindNamed(about.Kind); !known {
			continue
		}
		one := Event{
			Time: lastSeen(e), Type: e.Type, Reason: e.Reason, Kind: about.Kind, Namespace: about.Namespace, Name: about.Name,
			Count: max(e.Count, 1), Message: e.Message,
		}
		if e.Series != nil {
			one.Count = e.Series.Count
		}
		found = append(found, one)
	}
	slices.SortStableFunc(found, func(a, b Event) int { return a.Time.Compare(b.Time.Time) })
	return found
}

// lastSeen is when an event happened last: which field says that depends on the API that it was written by.
func lastSeen(e corev1.Event) metav1.Time {
	times := []metav1.Time{e.LastTimestamp, {Time: e.EventTime.Time}, e.FirstTimestamp, e.CreationTimestamp}
	if e.Series != nil {
		times = append([]metav1.Time{{Time: e.Series.LastObservedTime.Time}}, times...)
	}
	for _, at := range times {
		if !at.IsZero() {
			return at
		}
	}
	return metav1.Time{}
}

type options struct {
	output        output.Flags
	allNamespaces bool
	warnings      bool
}

// list is what json and yaml print.
type list struct {
	Events []Event `json:"events"`
}

// Command returns events.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "events [KIND/NAME...]",
		Short: "Show what happened to the resources",
		Long: `Show the events of the operator's resources, the oldest first: those of a namespace, and of the gateways.

Kubernetes keeps events for an hour, unless the cluster is set up otherwise.`,
		Example: `  kubectl kongjwt events
  kubectl kongjwt events jwtc/worker kgw/default
  kubectl kongjwt events -A --warnings`,
		ValidArgsFunction: complete.Resources(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, args) },
	}
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Of every namespace")
	cmd.Flags().BoolVar(&o.warnings, "warnings", false, "Warnings only")
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env, args []string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	named, err := o.parse(args)
	if err != nil {
		return err
	}
	kube, err := e.NewClient()
	if err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	all, err := o.read(ctx, kube, namespace)
	if err != nil {
		return err
	}
	found := slices.DeleteFunc(Of(all), func(event Event) bool {
		return o.warnings && event.Type != corev1.EventTypeWarning || len(named) > 0 && !named[event.Kind+"/"+event.Name]
	})
	return o.output.Print(e.Out, output.Answer{
		Kind: "EventList", Value: list{Events: append([]Event{}, found...)},
		Text: func(out io.Writer, style output.Style, wide bool) error {
			if len(found) == 0 {
				_, err := fmt.Fprintln(out, "no events")
				return err
			}
			return o.table(found, e).Print(out, style, wide)
		},
	})
}

// parse reads the resources that are named, as Kind/name. They need not exist any more.
func (o *options) parse(args []string) (named map[string]bool, err error) {
	named = map[string]bool{}
	for _, arg := range args {
		word, name, found := strings.Cut(arg, "/")
		kind, known := selection.Kind(word)
		if !found || !known || name == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("%s is no resource of the operator's: write it KIND/NAME, with one of %s", arg, selection.KindNames())
		}
		named[kind.Name+"/"+name] = true
	}
	if o.allNamespaces && len(args) > 0 {
		return nil, errors.New("-A and names do not go together: a name is of one namespace, which -n says")
	}
	return named, nil
}

// read lists the events of a namespace, or of all. Those of gateways, which are in no namespace, Kubernetes keeps in
// "default"; who may not read them there sees none.
func (o *options) read(ctx context.Context, kube client.Reader, namespace string) ([]corev1.Event, error) {
	if o.allNamespaces {
		namespace = ""
	}
	var found corev1.EventList
	if err := kube.List(ctx, &found, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	if namespace == "" || namespace == metav1.NamespaceDefault {
		return found.Items, nil
	}
	var others corev1.EventList
	if err := kube.List(ctx, &others, client.InNamespace(metav1.NamespaceDefault)); err == nil {
		for _, event := range others.Items {
			if event.InvolvedObject.Kind == v1alpha1.KindKongGateway {
				found.Items = append(found.Items, event)
			}
		}
	}
	return found.Items, nil
}

func (o *options) table(found []Event, e *env.Env) *output.Table {
	table := &output.Table{Columns: []output.Column{{Name: "LAST SEEN"}, {Name: "TYPE"}, {Name: "REASON"}, {Name: "OBJECT"}, {Name: "MESSAGE"}}}
	now := e.Clock.Now()
	for _, event := range found {
		object := strings.ToLower(event.Kind) + "/" + event.Name
		if o.allNamespaces && event.Namespace != "" {
			object = strings.ToLower(event.Kind) + "/" + event.Namespace + "/" + event.Name
		}
		when := output.WhenTime(event.Time.Time, now)
		if event.Count > 1 {
			when += fmt.Sprintf(" (x%d)", event.Count)
		}
		tone := output.Plain
		if event.Type == corev1.EventTypeWarning {
			tone = output.Warning
		}
		table.Add(tone, when, event.Type, event.Reason, object, event.Message)
	}
	return table
}
