package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kongjwt/kong-jwt-operator/internal/echo"
	"github.com/kongjwt/kong-jwt-operator/internal/kicsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim"
	"github.com/kongjwt/kong-jwt-operator/internal/kongsim/dataplane"
	"github.com/kongjwt/kong-jwt-operator/test/contract/tokens"
)

// nodeNames are the Kongs of every recording.
var nodeNames = []string{"kong1", "kong2"}

// stage is a controller with its store and its Kongs, at a moment of a recording's time.
type stage struct {
	store      *kicsim.Memory
	controller *kicsim.Controller // nil while it is stopped
	options    kicsim.Options
	nodes      map[string]*kongsim.Server
	upstream   *echo.Server
	webhook    bool
	keys       map[string]tokens.Key

	now, nextTick float64
	wrote         []happening
	pushes        []float64
	events        []happening
	watches       []*poll
}

// happening is a status that was written, or an event that was emitted for the first time.
type happening struct {
	at         float64
	on         string
	namespace  string
	generation int64
	status     map[string]any
	event      event
	expected   bool
}

const tickSeconds = 3.0

func newStage(o kicsim.Options, keys map[string]tokens.Key) (s *stage, err error) {
	s = &stage{options: o, nodes: map[string]*kongsim.Server{}, keys: keys, nextTick: math.Inf(1)}
	if s.upstream, err = echo.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}
	for _, name := range nodeNames {
		node, err := kongsim.Start(kongsim.Options{Database: "off", Propagation: dataplane.Instant(), Seed: 1})
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.nodes[name] = node
		s.options.Nodes = append(s.options.Nodes, node.AdminURL())
	}
	s.options.Locate = func(host string, port int) (string, int) {
		if port == 9980 {
			return s.upstream.Host(), s.upstream.Port()
		}
		return host, port
	}
	s.store = kicsim.NewMemory()
	s.store.Wrote = func(on kicsim.Reference, generation int64, status map[string]any) {
		s.wrote = append(s.wrote, happening{at: s.now, on: on.String(), generation: generation, status: plainJSON(status)})
	}
	s.store.Emitted = func(e kicsim.Event) {
		one := event{e.On.String(), e.Reason, e.Message}
		for _, former := range s.events {
			if former.event == one {
				return
			}
		}
		s.events = append(s.events, happening{at: s.now, namespace: e.On.Namespace, event: one})
	}
	s.controller = kicsim.New(s.store, s.options)
	return s, nil
}

func (s *stage) close() error {
	errs := []error{s.upstream.Close()}
	for _, node := range s.nodes {
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}

// advance goes on to a time; what falls due before it is done at its time.
func (s *stage) advance(ctx context.Context, to float64) error {
	for to > s.now {
		next := s.nextTick
		for _, p := range s.watches {
			next = min(next, p.next)
		}
		if next > to {
			s.now = to
			break
		}
		s.now = next
		if next == s.nextTick {
			s.nextTick += tickSeconds
			if err := s.tick(ctx); err != nil {
				return err
			}
			continue
		}
		for _, p := range s.watches {
			if p.next == next {
				if err := p.ask(ctx, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *stage) tick(ctx context.Context) error {
	if s.controller == nil {
		return nil
	}
	former := s.controller.Pushed()
	if err := s.controller.Tick(ctx); err != nil {
		return err
	}
	if s.controller.Pushed() != former {
		s.pushes = append(s.pushes, s.now)
	}
	return nil
}

// stop and start are a restart of the controller.
func (s *stage) stop() { s.controller = nil }

func (s *stage) start() {
	s.controller = kicsim.New(s.store, s.options)
	s.nextTick = s.now + kicsim.StartDelay.Seconds()
}

// apply writes an object as a field manager.
func (s *stage) apply(ctx context.Context, object map[string]any, manager string) (generation int64, refused string,
	err error) {
	o := unstructured.Unstructured{Object: clone(s.filled(object))}
	if s.webhook && s.controller != nil {
		_, exists := s.store.Get(kicsim.Reference{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName()})
		if refused, err = s.controller.Admit(ctx, &o, exists); refused != "" || err != nil {
			return 0, refused, err
		}
	}
	if generation, refused = s.store.Apply(o, manager); refused != "" || s.controller == nil {
		return generation, refused, nil
	}
	return generation, "", s.controller.Acknowledge(ctx)
}

// filled puts public keys where a recording names them.
func (s *stage) filled(object map[string]any) map[string]any {
	raw, err := json.Marshal(object)
	if err != nil {
		return object
	}
	text := string(raw)
	for name, pair := range s.keys {
		pem, _ := json.Marshal(pair.PublicPEM) //nolint:errchkjson // a text
		text = strings.ReplaceAll(text, `"{{public:`+name+`}}"`, string(pem))
	}
	filled := map[string]any{}
	_ = json.Unmarshal([]byte(text), &filled)
	return integers(filled)
}

// integers are what objects hold where JSON has floats.
func integers(object map[string]any) map[string]any {
	u := unstructured.Unstructured{}
	raw, err := json.Marshal(object)
	if err == nil && object["kind"] != nil {
		if u.UnmarshalJSON(raw) == nil {
			return u.Object
		}
	}
	return object
}

// remove deletes Kind/name.
func (s *stage) remove(name, namespace string) {
	kind, object, _ := strings.Cut(name, "/")
	if kind == "KongClusterPlugin" {
		namespace = ""
	}
	s.store.Delete(kicsim.Reference{Kind: kind, Namespace: namespace, Name: object})
}

// reply is an answer of a data plane or an Admin API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) json() any {
	var value any
	_ = json.Unmarshal(r.body, &value)
	return value
}

// message is Kong's own word, and nothing where the upstream answered.
func (r reply) message() string {
	if r.header.Get(echo.Marker) != "" {
		return ""
	}
	fields, _ := r.json().(map[string]any)
	text, _ := fields["message"].(string)
	return text
}

// request asks a data plane over a connection of its own.
func (s *stage) request(ctx context.Context, node, method, path, host string, header http.Header) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.nodes[node].ProxyURL()+path, nil)
	if err != nil {
		return reply{}, err
	}
	r.Host = host
	for name, values := range header {
		r.Header[name] = values
	}
	r.Close = true
	return send(r)
}

func send(r *http.Request) (reply, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, body}, err
}

// get asks an Admin API.
func (s *stage) get(ctx context.Context, node, path string) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.nodes[node].AdminURL()+path, nil)
	if err != nil {
		return reply{}, err
	}
	return send(r)
}

func plainJSON(value map[string]any) map[string]any {
	raw, err := json.Marshal(value)
	plain := map[string]any{}
	if err == nil {
		_ = json.Unmarshal(raw, &plain)
	}
	return plain
}

// bearer is a header with a token.
func (s *stage) bearer(t *token) (http.Header, error) {
	if t == nil {
		return http.Header{}, nil
	}
	text, err := t.mint(s.keys)
	if err != nil {
		return nil, fmt.Errorf("mint a token: %w", err)
	}
	return http.Header{"Authorization": {"Bearer " + text}}, nil
}
