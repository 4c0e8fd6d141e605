// Package operatorpods finds the operator's pods: by the flags --operator-namespace and --selector.
package operatorpods

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// containerName is the operator's container in the chart's pods; a mesh adds others.
const containerName = "manager"

// Flags say where the pods are, and which labels they have.
type Flags struct {
	// Namespace is theirs; empty for all namespaces.
	Namespace string
	labels    string
	selector  labels.Selector
}

// Add gives a subcommand the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Namespace, "operator-namespace", "", "Where the operator's pods are (default: all namespaces)")
	flags.StringVar(&f.labels, "selector", "app.kubernetes.io/name=kong-jwt-operator", "Labels of the operator's pods")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("selector", cobra.NoFileCompletions))
}

// Check reads the flags; List comes after it.
func (f *Flags) Check() (err error) {
	if f.selector, err = labels.Parse(f.labels); err != nil {
		return fmt.Errorf("--selector: %w", err)
	}
	return nil
}

// List gives the pods.
func (f *Flags) List(ctx context.Context, kube client.Reader) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := kube.List(ctx, &pods, client.InNamespace(f.Namespace), client.MatchingLabelsSelector{Selector: f.selector})
	return pods.Items, err
}

// None says in words that there is no pod.
func (f *Flags) None() string {
	return "no pod has the labels " + f.labels + "; see --operator-namespace and --selector"
}

// Containers are the operator's in a pod: the one that the chart names, or all where it is not there.
func Containers(pod corev1.Pod) []corev1.Container {
	for _, c := range pod.Spec.Containers {
		if c.Name == containerName {
			return []corev1.Container{c}
		}
	}
	return pod.Spec.Containers
}

// Images are those of the operator's containers, each once.
func Images(pods []corev1.Pod) []string {
	var images []string
	for _, pod := range pods {
		for _, c := range Containers(pod) {
			images = append(images, c.Image)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}
