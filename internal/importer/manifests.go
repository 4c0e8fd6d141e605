package importer

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// File is a manifest.
type File struct {
	Name    string
	Content []byte
	// Secret says that it holds material: it is for its owner alone to read.
	Secret bool
}

// Files writes one file an object, and a kustomization of all.
func (r Result) Files() ([]File, error) {
	var objects []client.Object
	for _, o := range r.Secrets {
		objects = append(objects, o)
	}
	for _, o := range r.Consumers {
		objects = append(objects, o)
	}
	for _, o := range r.Services {
		objects = append(objects, o)
	}
	files := make([]File, 0, len(objects)+1)
	names := make([]string, 0, len(objects))
	for _, o := range objects {
		content, err := manifest(o)
		if err != nil {
			return nil, err
		}
		_, secret := o.(*corev1.Secret)
		name := strings.ToLower(o.GetObjectKind().GroupVersionKind().Kind) + "-" + o.GetName() + ".yaml"
		files, names = append(files, File{Name: name, Content: content, Secret: secret}), append(names, name)
	}
	slices.Sort(names)
	var kustomization bytes.Buffer
	kustomization.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n")
	for _, name := range names {
		kustomization.WriteString("- " + name + "\n")
	}
	if len(names) == 0 {
		return nil, nil
	}
	return append(files, File{Name: "kustomization.yaml", Content: kustomization.Bytes()}), nil
}

// manifest writes an object without what the cluster fills in.
func manifest(o client.Object) ([]byte, error) {
	content, err := yaml.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write %s %s: %w", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("write %s %s: %w", o.GetObjectKind().GroupVersionKind().Kind, o.GetName(), err)
	}
	delete(fields, "status")
	if metadata, ok := fields["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	return yaml.Marshal(fields)
}
