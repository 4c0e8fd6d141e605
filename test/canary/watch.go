package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// Watch follows every object of a cluster: it learns what Secrets hold, and writes each state of all others down, of
// Secrets what is not their data, and of our kinds what is not their authors'.
type Watch struct {
	canaries *Canaries
	stop     func()

	mu    sync.Mutex
	file  *os.File
	seen  int
	names map[string][]string
	err   error
}

// Start begins to watch, and returns when it has seen what is there. The states of objects go into a file, one a line.
func Start(ctx context.Context, config *rest.Config, canaries *Canaries, path string) (*Watch, error) {
	resources, err := watchable(config)
	if err != nil {
		return nil, err
	}
	quiet := rest.CopyConfig(config)
	// Some kinds are deprecated, and people's objects of them are looked at as well.
	quiet.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(quiet)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(path) //nolint:gosec // The caller's path.
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{canaries: canaries, file: file, names: map[string][]string{}}
	informers := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	w.stop = func() {
		cancel()
		informers.Shutdown()
	}
	for _, resource := range resources {
		_, err := informers.ForResource(resource).Informer().AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    w.note,
			UpdateFunc: func(_, after any) { w.note(after) },
			DeleteFunc: w.note,
		})
		if err != nil {
			return nil, errors.Join(err, w.Stop())
		}
	}
	informers.Start(ctx.Done())
	for resource, synced := range informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, errors.Join(fmt.Errorf("watch %s: it could not be listed", resource), w.Stop())
		}
	}
	return w, nil
}

// watchable lists every kind of object that can be watched, each in one of its versions.
func watchable(config *rest.Config) ([]schema.GroupVersionResource, error) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("ask which kinds there are: %w", err)
	}
	var found []schema.GroupVersionResource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, resource := range list.APIResources {
			if slices.Contains(resource.Verbs, "watch") && slices.Contains(resource.Verbs, "list") {
				found = append(found, version.WithResource(resource.Name))
			}
		}
	}
	return found, nil
}

// note learns a Secret, and writes down what else an object says.
func (w *Watch) note(changed any) {
	if unseen, missed := changed.(toolscache.DeletedFinalStateUnknown); missed {
		changed = unseen.Obj
	}
	object, ok := changed.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if object.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Secret") {
		secret := &corev1.Secret{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, secret); err != nil {
			w.fail(err)
			return
		}
		w.canaries.Learn(secret)
		object = object.DeepCopy()
		unstructured.RemoveNestedField(object.Object, "data")
	}
	if object.GroupVersionKind().Group == v1alpha1.GroupVersion.Group {
		// A spec is its author's, whatever is in it: no controller ever writes one.
		object = object.DeepCopy()
		unstructured.RemoveNestedField(object.Object, "spec")
	}
	// Kind and name come first, so that the beginning of a line tells whose it is.
	line, err := json.Marshal([]any{object.GetKind(), object.GetNamespace() + "/" + object.GetName(), object.Object})
	if err != nil {
		w.fail(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	if kind := object.GetKind(); !slices.Contains(w.names[kind], object.GetName()) {
		w.names[kind] = append(w.names[kind], object.GetName())
	}
	if _, err := w.file.Write(append(line, '\n')); err != nil {
		w.err = errors.Join(w.err, err)
	}
}

func (w *Watch) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

// Names are those of all objects of a kind that were seen.
func (w *Watch) Names(kind string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.names[kind])
}

// Stop ends the watch. The error is the first that kept it from seeing or writing something.
func (w *Watch) Stop() error {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.file.Close())
}
