package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
)

// readCommand is the argument with which this program is the bare reader, and nothing else.
const readCommand = "read"

// reading is what a program needs that reads what an operator has to read after its start, and does nothing with it:
// controller-runtime's cache of the same kinds, as it comes, the content of the operator's Secrets, and what Kong
// holds.
type reading struct {
	// Took is the time from the start of the process until all was read.
	Took time.Duration
	// Grown is what the process has more in memory then than before it read anything, in bytes. It keeps the cache,
	// and nothing of Kong's.
	Grown int64
}

// measureReading runs the reader as a process of its own, with the operator's account.
func measureReading(ctx context.Context, kubeconfig, adminURL string) (r reading, err error) {
	began := time.Now()
	command := exec.CommandContext(ctx, os.Args[0], readCommand, kubeconfig, adminURL) //nolint:gosec // This program itself.
	command.Stderr = os.Stderr
	out, err := command.Output()
	r.Took = time.Since(began)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(out)).Decode(&r.Grown)
	}
	return r, err
}

// read is the reader. It prints what it has grown by.
func read(ctx context.Context, kubeconfig, adminURL string) error {
	empty, _, err := memory(os.Getpid())
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	scheme := runtime.NewScheme()
	if err := errorOf(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	kept, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return fillCache(ctx, kept) })
	group.Go(func() error { return readSecrets(ctx, kube) })
	admin := newBareKong(adminURL, 1)
	for _, kind := range []string{"consumers", "jwts", "acls", "services", "routes", "plugins"} {
		group.Go(func() error { return admin.read(ctx, kind) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	debug.FreeOSMemory()
	full, _, err := memory(os.Getpid())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(full - empty)
}

// fillCache returns when the cache has all that the operator's has. Of Secrets and EndpointSlices that is metadata.
func fillCache(ctx context.Context, kept cache.Cache) error {
	secret, slice := &metav1.PartialObjectMetadata{}, &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	slice.SetGroupVersionKind(discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"))
	for _, object := range []client.Object{
		&v1alpha1.KongGateway{}, &v1alpha1.JwtConsumer{}, &v1alpha1.JwtProtectedService{}, &v1alpha1.JwtToken{},
		&corev1.Namespace{}, &corev1.Service{}, secret, slice,
	} {
		if _, err := kept.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return err
		}
	}
	go func() { _ = kept.Start(context.WithoutCancel(ctx)) }() // until the process ends
	if !kept.WaitForCacheSync(ctx) {
		return fmt.Errorf("the cache did not sync: %w", ctx.Err())
	}
	return nil
}

// readSecrets reads the operator's own Secrets page by page.
func readSecrets(ctx context.Context, kube client.Client) error {
	for next := ""; ; {
		var page corev1.SecretList
		err := kube.List(ctx, &page, client.Limit(1000), client.Continue(next), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
		if next = page.Continue; err != nil || next == "" {
			return err
		}
	}
}

// read reads all entities of a kind.
func (k *bareKong) read(ctx context.Context, kind string) error {
	for offset := ""; ; {
		var page struct {
			Data   []object `json:"data"`
			Offset string   `json:"offset"`
		}
		err := k.do(ctx, "GET", "/"+kind+"?size=1000&offset="+url.QueryEscape(offset), nil, &page)
		if offset = page.Offset; err != nil || offset == "" {
			return err
		}
	}
}
