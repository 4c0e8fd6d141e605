// Package complete answers a shell that completes names of the cluster.
package complete

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/selection"
)

// patience is how long a person waits for a completion.
const patience = 3 * time.Second

// Func completes arguments or a flag's value.
type Func = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// Namespaces completes names of namespaces.
func Namespaces(e *env.Env) Func {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return names(cmd, e, &corev1.NamespaceList{}, ""), cobra.ShellCompDirectiveNoFileComp
	}
}

// Consumer completes the one argument of a subcommand, as Consumers does.
func Consumer(e *env.Env) Func {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return Consumers(e)(cmd, args, toComplete)
	}
}

// Consumers completes arguments: JwtConsumers of the namespace and, after a slash, their credentials.
func Consumers(e *env.Env) Func {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		namespace, err := e.Namespace()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list := &v1alpha1.JwtConsumerList{}
		consumers := names(cmd, e, list, namespace)
		name, _, hasSlash := strings.Cut(toComplete, "/")
		if !hasSlash {
			return consumers, cobra.ShellCompDirectiveNoFileComp
		}
		var found []string
		for _, consumer := range list.Items {
			for _, credential := range consumer.Spec.Credentials {
				if consumer.Name == name {
					found = append(found, name+"/"+credential.Name)
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// Resources completes KIND/NAME: kinds, and then names.
func Resources(e *env.Env) Func {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		name, _, both := strings.Cut(toComplete, "/")
		if !both {
			var found []string
			for _, kind := range v1alpha1.ResourceKinds() {
				found = append(found, strings.ToLower(kind.Name)+"/")
			}
			return found, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		}
		kind, known := selection.Kind(name)
		if !known {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		objects, _ := kind.NewList().(client.ObjectList) // every list is one
		var found []string
		for _, local := range Names(cmd, e, objects) {
			found = append(found, name+"/"+local)
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// Contexts completes those of the kubeconfig.
func Contexts(e *env.Env) Func {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		config, err := e.Flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slices.Sorted(maps.Keys(config.Contexts)), cobra.ShellCompDirectiveNoFileComp
	}
}

// Gateways completes names of KongGateways.
func Gateways(e *env.Env) Func {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return names(cmd, e, &v1alpha1.KongGatewayList{}, ""), cobra.ShellCompDirectiveNoFileComp
	}
}

// Services completes [NAMESPACE/]NAME of a JwtProtectedService.
func Services(e *env.Env) Func {
	return qualified(e, func() client.ObjectList { return &v1alpha1.JwtProtectedServiceList{} })
}

// QualifiedConsumers completes [NAMESPACE/]NAME of a JwtConsumer.
func QualifiedConsumers(e *env.Env) Func {
	return qualified(e, func() client.ObjectList { return &v1alpha1.JwtConsumerList{} })
}

// qualified completes names of the caller's namespace or, after a slash, of the one before it.
func qualified(e *env.Env, list func() client.ObjectList) Func {
	return func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		namespace, _, hasSlash := strings.Cut(toComplete, "/")
		if !hasSlash {
			return Names(cmd, e, list()), cobra.ShellCompDirectiveNoFileComp
		}
		found := names(cmd, e, list(), namespace)
		for i, name := range found {
			found[i] = namespace + "/" + name
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// Names lists names of one kind, for completions that put them together themselves.
func Names(cmd *cobra.Command, e *env.Env, list client.ObjectList) []string {
	namespace, err := e.Namespace()
	if err != nil {
		return nil
	}
	if _, cluster := list.(*v1alpha1.KongGatewayList); cluster {
		namespace = ""
	}
	return names(cmd, e, list, namespace)
}

// names says nothing where it cannot: a completion is no place for errors.
func names(cmd *cobra.Command, e *env.Env, list client.ObjectList, namespace string) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), patience)
	defer cancel()
	kube, err := e.Client()
	if err != nil {
		return nil
	}
	if err := kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var found []string
	_ = meta.EachListItem(list, func(object runtime.Object) error {
		if accessor, err := meta.Accessor(object); err == nil {
			found = append(found, accessor.GetName())
		}
		return nil
	})
	slices.Sort(found)
	return found
}
