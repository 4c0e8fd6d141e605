package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// installed is what an installation without Helm applies; the policy whose warnings kubectl shows is in it.
const installed = "config/operator/operator.yaml"

// policyTakesEffect is how long the API server may take to take a policy up; without it the demo goes on.
const policyTakesEffect = 20 * time.Second

// suspicious deserves a warning, and is never made.
const suspicious = `{apiVersion: kongjwt.dev/v1alpha1, kind: JwtProtectedService,
metadata: {name: suspicious, namespace: default}, spec: {attachTo: {serviceName: none}}}`

// warnings hears what the API server says beside its answers, as kubectl does. It is safe for concurrent use.
type warnings struct {
	mu    sync.Mutex
	show  func(text string)
	count int
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	// Before it is which policy and binding say so.
	if _, said, found := strings.Cut(text, "': "); found {
		text = said
	}
	if w.show != nil {
		w.show(text)
	}
}

func (w *warnings) heard() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *warnings) showTo(show func(text string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.show = show
}

// installWarnings has the API server warn of what deserves a second look, and shows its warnings from then on.
func (t *tutorial) installWarnings(ctx context.Context) error {
	heard := &warnings{}
	config := rest.CopyConfig(t.stack.Config)
	config.WarningHandler = heard
	kube, err := client.New(config, client.Options{Scheme: t.stack.Client.Scheme()})
	if err != nil {
		return err
	}
	content, err := os.ReadFile(installed)
	if err != nil {
		return fmt.Errorf("run the demo from the repository's root: %w", err)
	}
	policies, err := documents(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", installed, err)
	}
	for _, object := range policies {
		if object.GroupVersionKind().Group != "admissionregistration.k8s.io" {
			continue
		}
		if err := kube.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("demo")); err != nil {
			return err
		}
		t.policies = append(t.policies, object)
	}
	trials, err := documents([]byte(suspicious))
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, policyTakesEffect, true, func(ctx context.Context) (bool, error) {
		err := kube.Create(ctx, trials[0].DeepCopy(), client.DryRunAll)
		return heard.heard() > 0, err
	})
	if err != nil && !wait.Interrupted(err) {
		return err
	}
	heard.showTo(func(text string) { t.screen.line("Warning: %s", text) })
	t.stack.Client = kube
	return nil
}

// documents reads the objects of a YAML file.
func documents(content []byte) (objects []*unstructured.Unstructured, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
