package e2e

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"

	"github.com/golang-jwt/jwt/v5"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
)

const (
	// kubeletDelay is the longest time until a mounted Secret shows its new content, here; a real kubelet takes a
	// minute or two, and its overlap is longer in the same measure.
	kubeletDelay = 1500 * time.Millisecond
	// requestsAConnection is after how many requests a client connects anew: a connection stays with one of Kong's
	// workers.
	requestsAConnection = 20
)

// mount is a Secret as a container sees it that has it as a volume: whole, and late.
type mount struct {
	content atomic.Pointer[shown]
}

// shown is what a mount shows, and when that was asked for.
type shown struct {
	*corev1.Secret
	since time.Time
}

// follow reads the Secret now, and then again and again until ctx ends, each time after a delay that a kubelet could
// have.
func (m *mount) follow(ctx context.Context, namespace, name string) error {
	read := func() error {
		now := &shown{&corev1.Secret{}, time.Now()}
		if err := env.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, now.Secret); err != nil {
			return err
		}
		m.content.Store(now)
		return nil
	}
	if err := read(); err != nil {
		return err
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(rand.N(kubeletDelay)):
				_ = read() // a kubelet tries again, and shows what it had meanwhile
			}
		}
	}()
	return nil
}

// bearer makes a token from what a mount shows.
type bearer func(*corev1.Secret) (string, error)

// signing signs a token of its own for each request, as a client of a JwtConsumer does.
func signing(secret *corev1.Secret) (string, error) {
	algorithm, key := string(secret.Data["algorithm"]), string(secret.Data["key"])
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims{"iss": key, "exp": time.Now().Add(time.Minute).Unix()})
	token.Header["kid"] = key
	if shared, found := secret.Data["secret"]; found {
		return token.SignedString(shared)
	}
	block, _ := pem.Decode(secret.Data["private.pem"])
	if block == nil {
		return "", fmt.Errorf("private.pem is no PEM")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	return token.SignedString(private)
}

// carrying sends the token that a JwtToken keeps fresh.
func carrying(secret *corev1.Secret) (string, error) { return string(secret.Data["token"]), nil }

// traffic is what clients send without pause, and what came of it.
type traffic struct {
	requests, refused atomic.Int64

	url  string
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	first string // of what was refused
}

func startTraffic(ctx context.Context, url string) (*traffic, context.Context) {
	t := &traffic{url: url}
	ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	return t, ctx
}

// add starts a client.
func (t *traffic) add(ctx context.Context, namespace, secret string, token bearer) error {
	m := &mount{}
	if err := m.follow(ctx, namespace, secret); err != nil {
		return err
	}
	t.done.Add(1)
	go func() {
		defer GinkgoRecover()
		defer t.done.Done()
		transport := &http.Transport{MaxConnsPerHost: 1}
		defer transport.CloseIdleConnections()
		for n := 1; ctx.Err() == nil; n++ {
			t.count(ctx, m.content.Load(), token, &http.Client{Transport: transport})
			if n%requestsAConnection == 0 {
				transport.CloseIdleConnections()
			}
		}
	}()
	return nil
}

// count sends one request. One that the end of the traffic cuts off does not count.
func (t *traffic) count(ctx context.Context, mounted *shown, token bearer, sender *http.Client) {
	err := t.send(ctx, mounted.Secret, token, sender)
	if ctx.Err() != nil {
		return
	}
	t.requests.Add(1)
	if err == nil {
		return
	}
	t.refused.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == "" {
		t.first = fmt.Sprintf("%s, with key %s of Secret %s, version %s, asked for %s ago: %v", time.Now().Format(time.StampMilli),
			mounted.Data["key"], mounted.Name, mounted.ResourceVersion, time.Since(mounted.since), err)
	}
}

func (t *traffic) send(ctx context.Context, secret *corev1.Secret, token bearer, sender *http.Client) error {
	text, err := token(secret)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+text)
	response, err := sender.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || response.Header.Get(echo.Marker) == "" {
		return fmt.Errorf("answered %d %s", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

// end stops the clients and prints what came of it.
func (t *traffic) end(what string) {
	t.stop()
	t.done.Wait()
	fmt.Printf("\nrotation: %d requests, %d refused (%s)\n", t.requests.Load(), t.refused.Load(), what)
}

func (t *traffic) firstRefusal() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first
}
