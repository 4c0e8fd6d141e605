// Package diff is kubectl kongjwt diff: what an apply would cause in Kong.
package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// fieldManager of the dry run; nothing is stored under it.
const fieldManager = "kubectl-kongjwt-diff"

type options struct {
	output output.Flags
	files  []string
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Say which requests to Kong an apply would cause",
		Long: `Say which requests to Kong an apply of JwtConsumers and JwtProtectedServices would cause: the
operator's own plan, made here and sent nowhere. The API server is asked what it would store
(a dry run), which takes the right to create and update them; nothing is changed. A spec is taken
to be whole: what the file leaves out is gone.

What is compared is what the resources say now with what they would say. Kong is not asked: what
was changed there by hand is not seen. Material is not looked at either: a credential changes where
its source does.

Exits with 1 where there is a difference, as kubectl diff does.`,
		Example: `  # A folder's worth of one file
  kubectl kongjwt diff -f shop.yaml

  # What kustomize makes
  kubectl kustomize overlays/prod | kubectl kongjwt diff -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), e) },
	}
	cmd.Flags().StringSliceVarP(&o.files, "filename", "f", nil, `File with manifests; "-" is standard input; may be given again`)
	cobra.CheckErr(errors.Join(cmd.MarkFlagRequired("filename"), cmd.MarkFlagFilename("filename", "yaml", "yml", "json")))
	o.output.Add(cmd, output.JSON, output.YAML)
	return cmd
}

func (o *options) run(ctx context.Context, e *env.Env) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return err
	}
	objects, err := o.read(e.In, namespace)
	if err != nil {
		return err
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	before, unknown, err := readWorld(ctx, kube, namespace)
	if err != nil {
		return err
	}
	after := world{gateways: before.gateways, consumers: maps.Clone(before.consumers), services: maps.Clone(before.services)}
	for _, object := range objects {
		skipped, err := after.apply(ctx, kube, object)
		if err != nil {
			return err
		}
		unknown = append(unknown, skipped...)
	}
	a := compare(before, after)
	a.Unknown = append(a.Unknown, unknown...)
	err = o.output.Print(e.Out, output.Answer{Kind: "KongDiff", Value: a, Text: a.print})
	if err == nil && a.differs() {
		return env.ErrNegative
	}
	return err
}

// read reads all documents of all files.
func (o *options) read(in io.Reader, namespace string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, name := range o.files {
		content := in
		if name != "-" {
			file, err := os.Open(name) //nolint:gosec // the file that the caller names, read with the rights of the caller
			if err != nil {
				return nil, fmt.Errorf("--filename: %w", err)
			}
			defer func() { _ = file.Close() }()
			content = file
		}
		decoder := yaml.NewYAMLOrJSONDecoder(content, 4096)
		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("--filename %s: it is no YAML or JSON of an object", name)
			}
			if len(object.Object) == 0 {
				continue
			}
			if object.GetNamespace() == "" && object.GetKind() != v1alpha1.KindKongGateway {
				object.SetNamespace(namespace)
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// readWorld reads what there is: all namespaces, or one where not all may be read.
func readWorld(ctx context.Context, kube client.Reader, namespace string) (w world, unknown []string, err error) {
	all, err := inventory.Read(ctx, kube, "")
	if err != nil || len(all.Unreadable) > 0 {
		if all, err = inventory.Read(ctx, kube, namespace); err != nil {
			return world{}, nil, err
		}
		unknown = append(unknown, "you may read namespace "+namespace+" alone: groups of consumers elsewhere are not looked at")
	}
	w = world{gateways: map[string]*v1alpha1.KongGateway{}, consumers: map[string]*v1alpha1.JwtConsumer{}, services: map[string]*v1alpha1.JwtProtectedService{}}
	for i := range all.Gateways {
		w.gateways[all.Gateways[i].Name] = &all.Gateways[i]
	}
	for i := range all.Consumers {
		w.consumers[all.Consumers[i].Namespace+"/"+all.Consumers[i].Name] = &all.Consumers[i]
	}
	for i := range all.Services {
		w.services[all.Services[i].Namespace+"/"+all.Services[i].Name] = &all.Services[i]
	}
	return w, unknown, nil
}

// apply puts into the world what the API server would store of an object; it says of other objects that they are not looked at.
func (w world) apply(ctx context.Context, kube client.Client, object *unstructured.Unstructured) (unknown []string, err error) {
	name := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
	ours := object.GroupVersionKind().Group == v1alpha1.GroupVersion.Group
	if !ours || object.GetKind() != v1alpha1.KindJwtConsumer && object.GetKind() != v1alpha1.KindJwtProtectedService {
		return []string{name + ": what it changes in Kong is not looked at"}, nil
	}
	if object, err = store(ctx, kube, object); err != nil {
		return nil, fmt.Errorf("%s: the API server would refuse it: %w", name, err)
	}
	key := object.GetNamespace() + "/" + object.GetName()
	var target any
	if object.GetKind() == v1alpha1.KindJwtConsumer {
		consumer := &v1alpha1.JwtConsumer{}
		target, w.consumers[key] = consumer, consumer
	} else {
		service := &v1alpha1.JwtProtectedService{}
		target, w.services[key] = service, service
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, target); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return nil, nil
}

// store asks the API server what it would store: with defaults, and refused where its rules say so. The spec is taken to be whole, as it is where a manifest is
// the only source of a resource.
func store(ctx context.Context, kube client.Client, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	err := kube.Get(ctx, client.ObjectKeyFromObject(object), stored)
	if apierrors.IsNotFound(err) {
		return object, kube.Create(ctx, object, client.DryRunAll, client.FieldOwner(fieldManager))
	}
	if err != nil {
		return nil, err
	}
	stored.Object["spec"] = object.Object["spec"]
	if labels := object.GetLabels(); labels != nil {
		stored.SetLabels(labels)
	}
	return stored, kube.Update(ctx, stored, client.DryRunAll, client.FieldOwner(fieldManager))
}

// print writes the answer for people.
func (a answer) print(out io.Writer, style output.Style, wide bool) error {
	if !a.differs() {
		if _, err := fmt.Fprintln(out, "No request to Kong"); err != nil {
			return err
		}
	}
	if len(a.Requests) > 0 {
		table := output.Table{Columns: []output.Column{{Name: "Change"}, {Name: "Request"}, {Name: "Entity"}, {Name: "Resource"}, {Name: "Gateway"}}}
		tones := map[string]output.Tone{"create": output.Good, "update": output.Warning, "delete": output.Bad}
		for _, r := range a.Requests {
			table.Add(tones[r.Change], r.Change, r.Method, r.Kind+" "+r.Name, r.Resource, r.Gateway)
		}
		if err := table.Print(out, style, wide); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		word  string
		tone  output.Tone
		lines []string
	}{{"refused", output.Bad, a.Refused}, {"unknown", output.Faint, a.Unknown}} {
		for _, line := range part.lines {
			if _, err := fmt.Fprintf(out, "%s  %s\n", style.Paint(part.tone, part.word), output.Line(line)); err != nil {
				return err
			}
		}
	}
	return nil
}
