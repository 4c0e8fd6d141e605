// Package reconcile is kubectl kongjwt reconcile: look at a resource again, now.
package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/complete"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// kind is one that can be asked for, by any of its names.
type kind struct {
	names   []string
	cluster bool
	object  func() client.Object
	list    func() client.ObjectList
}

// kinds by the names that kubectl takes, the one that is printed first.
var kinds = []kind{
	{[]string{"konggateway", "konggateways", "kgw"}, true, func() client.Object { return &v1alpha1.KongGateway{} }, func() client.ObjectList { return &v1alpha1.KongGatewayList{} }},
	{[]string{"jwtconsumer", "jwtconsumers", "jwtc"}, false, func() client.Object { return &v1alpha1.JwtConsumer{} }, func() client.ObjectList { return &v1alpha1.JwtConsumerList{} }},
	{
		[]string{"jwtprotectedservice", "jwtprotectedservices", "jwtps"}, false,
		func() client.Object { return &v1alpha1.JwtProtectedService{} }, func() client.ObjectList { return &v1alpha1.JwtProtectedServiceList{} },
	},
	{[]string{"jwttoken", "jwttokens", "jwtt"}, false, func() client.Object { return &v1alpha1.JwtToken{} }, func() client.ObjectList { return &v1alpha1.JwtTokenList{} }},
}

// Command returns the subcommand.
func Command(e *env.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "reconcile KIND/NAME",
		Short: "Have the operator look at a resource again, now",
		Long: `Have the operator compare a resource with Kong again, now: after something outside of Kubernetes was put right.

KIND is jwtconsumer, jwtprotectedservice, jwttoken or konggateway, or kubectl's short name of it.`,
		Example: `  kubectl kongjwt reconcile jwtconsumer/john
  kubectl kongjwt reconcile jwtps/orders -n team-a
  kubectl kongjwt reconcile kgw/default`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: candidates(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), e, args[0]) },
	}
}

func find(name string) (kind, error) {
	name, _, _ = strings.Cut(strings.ToLower(name), ".")
	for _, k := range kinds {
		if slices.Contains(k.names, name) {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("%q is no kind of the operator's; choose jwtconsumer, jwtprotectedservice, jwttoken or konggateway", name)
}

func run(ctx context.Context, e *env.Env, reference string) error {
	name, local, both := strings.Cut(reference, "/")
	if !both || local == "" || strings.Contains(local, "/") {
		return fmt.Errorf("%q: write it KIND/NAME, such as jwtconsumer/john", reference)
	}
	k, err := find(name)
	if err != nil {
		return err
	}
	key := client.ObjectKey{Name: local}
	if !k.cluster {
		if key.Namespace, err = e.Namespace(); err != nil {
			return err
		}
	}
	kube, err := e.Client()
	if err != nil {
		return err
	}
	object := k.object()
	if err := kube.Get(ctx, key, object); err != nil {
		return fmt.Errorf("get %s: %w", reference, err)
	}
	before, _ := object.DeepCopyObject().(client.Object)
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationReconcile] = e.Clock.Now().UTC().Format(time.RFC3339Nano)
	object.SetAnnotations(annotations)
	if err := kube.Patch(ctx, object, client.MergeFrom(before), client.FieldOwner(env.FieldManager)); err != nil {
		return fmt.Errorf("annotate %s: %w", reference, err)
	}
	_, err = fmt.Fprintf(e.Out, "%s.%s/%s asked for\n", k.names[0], v1alpha1.GroupVersion.Group, local)
	return err
}

// candidates completes kinds, and then names.
func candidates(e *env.Env) complete.Func {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		name, _, both := strings.Cut(toComplete, "/")
		if !both {
			var found []string
			for _, k := range kinds {
				found = append(found, k.names[0]+"/")
			}
			return found, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		}
		k, err := find(name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []string
		for _, local := range complete.Names(cmd, e, k.list()) {
			found = append(found, name+"/"+local)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
