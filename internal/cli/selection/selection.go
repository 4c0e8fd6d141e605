// Package selection chooses the resources that a subcommand acts on: by name, by label, or all.
package selection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/env"
)

// Flags hold -l, --all and -A.
type Flags struct {
	selector           string
	all, allNamespaces bool
	// only is the one kind that a subcommand acts on; empty for any, which is then named.
	only string
	// parts says that a part of a resource may be named behind it.
	parts bool
}

// Chosen is a resource, and the part of it that was named.
type Chosen struct {
	v1alpha1.Resource
	Part string
}

// Add gives a subcommand the flags. A subcommand of one kind takes NAME as well as KIND/NAME, and NAME/PART where
// parts is set.
func (f *Flags) Add(cmd *cobra.Command, only string, parts bool) {
	f.only, f.parts = only, parts
	flags := cmd.Flags()
	flags.StringVarP(&f.selector, "selector", "l", "", "Labels of the resources, such as team=blue")
	flags.BoolVar(&f.all, "all", false, "All of the namespace")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "With -l or --all: of every namespace")
	cmd.MarkFlagsMutuallyExclusive("selector", "all")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("selector", cobra.NoFileCompletions))
}

// Named says that each resource is named, by none of -l and --all.
func (f *Flags) Named() bool { return f.selector == "" && !f.all }

// shortNames of kinds, as their CustomResourceDefinitions have them.
var shortNames = map[string]string{
	v1alpha1.KindKongGateway: "kgw", v1alpha1.KindJwtConsumer: "jwtc",
	v1alpha1.KindJwtProtectedService: "jwtps", v1alpha1.KindJwtToken: "jwtt",
}

// Kind finds a kind by any name that kubectl takes: singular, plural, short, with the group behind it.
func Kind(name string) (v1alpha1.ResourceKind, bool) {
	name, group, qualified := strings.Cut(strings.ToLower(name), ".")
	if qualified && group != v1alpha1.GroupVersion.Group && group != v1alpha1.GroupVersion.Version+"."+v1alpha1.GroupVersion.Group {
		return v1alpha1.ResourceKind{}, false
	}
	for _, kind := range v1alpha1.ResourceKinds() {
		singular := strings.ToLower(kind.Name)
		if slices.Contains([]string{singular, singular + "s", shortNames[kind.Name]}, name) {
			return kind, true
		}
	}
	return v1alpha1.ResourceKind{}, false
}

// ID is how kubectl names a resource: jwtconsumer.kongjwt.dev/name.
func ID(r v1alpha1.Resource) string {
	return strings.ToLower(r.KindName()) + "." + v1alpha1.GroupVersion.Group + "/" + r.GetName()
}

// Path is namespace/name, or the name of what has no namespace.
func Path(r v1alpha1.Resource) string {
	if r.GetNamespace() == "" {
		return r.GetName()
	}
	return r.GetNamespace() + "/" + r.GetName()
}

// reference is what one argument names.
type reference struct {
	kind       v1alpha1.ResourceKind
	name, part string
}

// parse reads the arguments: names, or the kind that -l and --all are about.
func (f *Flags) parse(args []string) ([]reference, v1alpha1.ResourceKind, error) {
	kind, known := v1alpha1.KindNamed(f.only)
	if len(args) > 0 && !strings.Contains(args[0], "/") {
		if named, is := Kind(args[0]); is && (!known || named.Name == kind.Name) && (!known || len(args) > 1 || f.selector != "" || f.all) {
			kind, known, args = named, true, args[1:]
		}
	}
	var references []reference
	for _, arg := range args {
		r, err := f.reference(arg, kind, known)
		if err != nil {
			return nil, kind, err
		}
		references = append(references, r)
	}
	many := !f.Named()
	switch {
	case many && len(references) > 0:
		return nil, kind, errors.New("names and -l or --all do not go together: give one of them")
	case !many && len(references) == 0:
		return nil, kind, fmt.Errorf("nothing is named: give %s, or -l SELECTOR, or --all", f.usage())
	case !many && f.allNamespaces:
		return nil, kind, errors.New("-A goes with -l or --all: a name is of one namespace, which -n says")
	case many && !known:
		return nil, kind, errors.New("the kind is missing: name one of " + KindNames() + " before -l or --all")
	}
	return references, kind, nil
}

func (f *Flags) usage() string {
	switch {
	case f.only == "":
		return "KIND/NAME"
	case f.parts:
		return "NAME or NAME/CREDENTIAL of a " + f.only
	default:
		return "the NAME of a " + f.only
	}
}

// KindNames lists the kinds as people write them.
func KindNames() string {
	var names []string
	for _, kind := range v1alpha1.ResourceKinds() {
		names = append(names, strings.ToLower(kind.Name))
	}
	return strings.Join(names, ", ")
}

// reference reads [KIND/]NAME[/PART].
func (f *Flags) reference(arg string, kind v1alpha1.ResourceKind, known bool) (reference, error) {
	words := strings.Split(arg, "/")
	if len(words) > 1 {
		named, is := Kind(words[0])
		switch {
		case is && known && named.Name != kind.Name:
			return reference{}, fmt.Errorf("%s is a %s: this is for a %s", arg, named.Name, kind.Name)
		case is:
			kind, known, words = named, true, words[1:]
		case !known:
			return reference{}, fmt.Errorf("%s is no kind of the operator's; choose one of %s", words[0], KindNames())
		}
	}
	r := reference{kind: kind, name: words[0]}
	if f.parts && len(words) == 2 {
		r.part, words = words[1], words[:1]
	}
	switch {
	case !known:
		return reference{}, fmt.Errorf("the kind of %s is missing: write it KIND/NAME, such as jwtconsumer/%s", arg, arg)
	case len(words) != 1 || r.name == "" || strings.HasSuffix(arg, "/"):
		return reference{}, fmt.Errorf("%s is not as it should be: give %s; the namespace is -n's", arg, f.usage())
	}
	return r, nil
}

// Find gets what was chosen. That nothing matches is an error.
func (f *Flags) Find(ctx context.Context, e *env.Env, kube client.Reader, args []string) ([]Chosen, error) {
	references, kind, err := f.parse(args)
	if err != nil {
		return nil, err
	}
	namespace, err := e.Namespace()
	if err != nil {
		return nil, err
	}
	if len(references) == 0 {
		return f.list(ctx, kube, kind, namespace)
	}
	var chosen []Chosen
	for _, r := range references {
		key := client.ObjectKey{Namespace: namespace, Name: r.name}
		if r.kind.ClusterScoped {
			key.Namespace = ""
		}
		object, ok := r.kind.New().(client.Object)
		if !ok {
			return nil, fmt.Errorf("%s is no object", r.kind.Name) // every kind is one
		}
		if err := kube.Get(ctx, key, object); err != nil {
			return nil, fmt.Errorf("get %s %s: %w", r.kind.Name, strings.TrimPrefix(key.String(), "/"), err)
		}
		resource, _ := object.(v1alpha1.Resource)
		chosen = append(chosen, Chosen{Resource: resource, Part: r.part})
	}
	return chosen, nil
}

func (f *Flags) list(ctx context.Context, kube client.Reader, kind v1alpha1.ResourceKind, namespace string) ([]Chosen, error) {
	selector, err := labels.Parse(f.selector)
	if err != nil {
		return nil, fmt.Errorf("-l: %w", err)
	}
	options := []client.ListOption{client.MatchingLabelsSelector{Selector: selector}}
	where := "in namespace " + namespace
	switch {
	case kind.ClusterScoped:
		where = "in the cluster"
	case f.allNamespaces:
		where = "in any namespace"
	default:
		options = append(options, client.InNamespace(namespace))
	}
	list := kind.NewList()
	objects, ok := list.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%s has no list", kind.Name) // every kind has one
	}
	if err := kube.List(ctx, objects, options...); err != nil {
		return nil, fmt.Errorf("list %ss: %w", kind.Name, err)
	}
	var chosen []Chosen
	for resource := range list.Resources() {
		chosen = append(chosen, Chosen{Resource: resource})
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no %s matches %s", kind.Name, where)
	}
	return chosen, nil
}
