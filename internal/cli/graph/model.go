package graph

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/internal/cli/inventory"
	"github.com/kongjwt/kong-jwt-operator/internal/desired"
)

// Kind of a node. The order is that of a request's way: who calls, by what right, what, where.
type Kind string

// Kinds of nodes, in the columns of a picture.
const (
	Consumer Kind = "consumer"
	Group    Kind = "group"
	Service  Kind = "service"
	Route    Kind = "route"
)

// Node is one thing of a gateway.
type Node struct {
	ID      string `json:"id"`
	Kind    Kind   `json:"kind"`
	Gateway string `json:"gateway"`
	Label   string `json:"label"`
	// Everyone marks the node that stands for all consumers of the gateway, and Anonymous that for requests
	// without a valid token.
	Everyone  bool `json:"everyone,omitempty"`
	Anonymous bool `json:"anonymous,omitempty"`
	// Revoked says that no token of the consumer is taken.
	Revoked bool `json:"revoked,omitempty"`
	// NotReady says that Kong may not have it as its spec says.
	NotReady bool `json:"notReady,omitempty"`
	// Members are the labels of consumers that a picture shows as one, because they may call the same.
	Members []string `json:"-"`
}

// Edge leads from who calls to what may be called.
type Edge struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Graph says who may call what.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// build is pure. Groups are those that consumers are in or that services let in; a service without access is open to
// those of its namespace, or to all of its gateway.
func build(found *inventory.Inventory) Graph {
	b := &builder{nodes: map[string]Node{}, edges: map[Edge]bool{}, gateways: found.Gateways, notReady: map[string]bool{}}
	for _, r := range found.Resources() {
		b.notReady[r.Kind+" "+r.Path()] = r.Health != inventory.Ready && r.Health != inventory.Warning && r.Health != inventory.Suspended
	}
	for i := range found.Consumers {
		b.consumer(&found.Consumers[i])
	}
	for i := range found.Services {
		b.service(&found.Services[i], found.Consumers)
	}
	b.everyone()
	return b.graph()
}

type builder struct {
	nodes    map[string]Node
	edges    map[Edge]bool
	gateways []v1alpha1.KongGateway
	// notReady are the resources that are not Ready, by kind and path.
	notReady map[string]bool
}

// policy of a gateway. One that is not known lets everybody in where a service does not say.
func (b *builder) policy(gateway string) desired.Policy {
	for i := range b.gateways {
		if b.gateways[i].Name == gateway {
			return desired.NewPolicy(&b.gateways[i], "")
		}
	}
	return desired.Policy{GatewayPolicy: v1alpha1.GatewayPolicy{Identities: v1alpha1.IdentitiesAny}}
}

func (b *builder) node(n Node) string {
	if _, known := b.nodes[n.ID]; !known {
		b.nodes[n.ID] = n
	}
	return n.ID
}

func (b *builder) edge(from, to string) { b.edges[Edge{from, to}] = true }

func consumerID(c *v1alpha1.JwtConsumer) string {
	return "consumer:" + c.Spec.GatewayRef.Name + ":" + c.Namespace + "/" + c.Name
}

func (b *builder) group(gateway, name string) string {
	return b.node(Node{ID: "group:" + gateway + ":" + name, Kind: Group, Gateway: gateway, Label: name})
}

func (b *builder) consumer(c *v1alpha1.JwtConsumer) {
	path := c.Namespace + "/" + c.Name
	id := b.node(Node{
		ID: consumerID(c), Kind: Consumer, Gateway: c.Spec.GatewayRef.Name, Label: path,
		Revoked: c.Spec.Revoked, NotReady: b.notReady[v1alpha1.KindJwtConsumer+" "+path],
	})
	for _, group := range c.Spec.Groups {
		b.edge(id, b.group(c.Spec.GatewayRef.Name, group))
	}
}

func (b *builder) service(s *v1alpha1.JwtProtectedService, consumers []v1alpha1.JwtConsumer) {
	gateway := s.Spec.GatewayRef.Name
	path := s.Namespace + "/" + s.Name
	id := b.node(Node{
		ID: "service:" + gateway + ":" + path, Kind: Service, Gateway: gateway, Label: path,
		NotReady: b.notReady[v1alpha1.KindJwtProtectedService+" "+path],
	})
	for _, r := range s.Spec.Routes {
		b.edge(id, b.node(Node{ID: "route:" + gateway + ":" + path + "/" + r.Name, Kind: Route, Gateway: gateway, Label: routeLabel(r)}))
	}
	if to := s.Spec.AttachTo; to != nil {
		label := desired.AttachTarget(s).String()
		if to.ServiceName != "" || to.RouteName != "" {
			label += " in Kong"
		}
		b.edge(id, b.node(Node{ID: "route:" + gateway + ":" + path + "/", Kind: Route, Gateway: gateway, Label: label}))
	}
	if s.Spec.JWT.Anonymous != "" {
		b.edge(b.node(Node{
			ID: "anonymous:" + gateway + ":" + s.Spec.JWT.Anonymous, Kind: Consumer, Gateway: gateway, Label: "no token, as " + s.Spec.JWT.Anonymous, Anonymous: true,
		}), id)
	}
	access := b.policy(gateway).Access(s)
	if access == nil {
		b.edge(b.node(Node{ID: "everyone:" + gateway, Kind: Group, Gateway: gateway, Label: "every consumer of the gateway", Everyone: true}), id)
		return
	}
	for _, group := range access.Groups {
		b.edge(b.group(gateway, group), id)
	}
	s = s.DeepCopy()
	s.Spec.Access = access
	for i := range consumers {
		c := &consumers[i]
		if names, err := desired.NamesConsumer(s, c); err == nil && names && c.Spec.GatewayRef.Name == gateway {
			b.edge(consumerID(c), id)
		}
	}
}

// everyone leads from each consumer to what is open to every consumer of its gateway.
func (b *builder) everyone() {
	for _, n := range b.nodes {
		to := "everyone:" + n.Gateway
		if _, open := b.nodes[to]; open && n.Kind == Consumer && !n.Anonymous {
			b.edge(n.ID, to)
		}
	}
}

// routeLabel says which requests a route takes: GET https://api.example.com/orders.
func routeLabel(r v1alpha1.Route) string {
	var parts []string
	if len(r.Methods) > 0 {
		parts = append(parts, strings.Join(r.Methods, ","))
	}
	place := strings.Join(r.Hosts, ",") + strings.Join(r.Paths, ",")
	if place != "" {
		parts = append(parts, place)
	}
	if len(r.SNIs) > 0 {
		parts = append(parts, "sni "+strings.Join(r.SNIs, ","))
	}
	if len(r.Headers) > 0 {
		parts = append(parts, fmt.Sprintf("%d headers", len(r.Headers)))
	}
	if len(parts) == 0 {
		return r.Name
	}
	return strings.Join(parts, " ")
}

// graph orders what was gathered: gateways, kinds and names, so that equal resources give equal pictures.
func (b *builder) graph() Graph {
	g := Graph{Nodes: []Node{}, Edges: []Edge{}}
	for _, n := range b.nodes {
		g.Nodes = append(g.Nodes, n)
	}
	slices.SortFunc(g.Nodes, func(x, y Node) int {
		return cmp.Or(cmp.Compare(x.Gateway, y.Gateway), cmp.Compare(column(x.Kind), column(y.Kind)), naturally(x.Label, y.Label), cmp.Compare(x.ID, y.ID))
	})
	for e := range b.edges {
		g.Edges = append(g.Edges, e)
	}
	slices.SortFunc(g.Edges, func(x, y Edge) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	return g
}

func column(k Kind) int { return slices.Index([]Kind{Consumer, Group, Service, Route}, k) }

// around keeps what can be reached from the nodes that match, along the edges and against them: who calls it, and
// what it calls.
func (g Graph) around(match func(Node) bool) Graph {
	keep := map[string]bool{}
	for _, forth := range []bool{true, false} {
		var pending []string
		for _, n := range g.Nodes {
			if match(n) {
				pending = append(pending, n.ID)
			}
		}
		seen := map[string]bool{}
		for len(pending) > 0 {
			id := pending[0]
			pending = pending[1:]
			if seen[id] {
				continue
			}
			seen[id], keep[id] = true, true
			for _, e := range g.Edges {
				if forth && e.From == id {
					pending = append(pending, e.To)
				}
				if !forth && e.To == id {
					pending = append(pending, e.From)
				}
			}
		}
	}
	out := Graph{Nodes: []Node{}, Edges: []Edge{}}
	for _, n := range g.Nodes {
		if keep[n.ID] {
			out.Nodes = append(out.Nodes, n)
		}
	}
	for _, e := range g.Edges {
		if keep[e.From] && keep[e.To] {
			out.Edges = append(out.Edges, e)
		}
	}
	return out
}

// to are the nodes of a kind that an edge leads from, into id.
func (g Graph) to(id string, kind Kind) []Node {
	return g.ends(kind, func(e Edge) (string, bool) { return e.From, e.To == id })
}

// from are the nodes of a kind that an edge leads to, out of id.
func (g Graph) from(id string, kind Kind) []Node {
	return g.ends(kind, func(e Edge) (string, bool) { return e.To, e.From == id })
}

func (g Graph) ends(kind Kind, end func(Edge) (string, bool)) []Node {
	wanted := map[string]bool{}
	for _, e := range g.Edges {
		if id, matches := end(e); matches {
			wanted[id] = true
		}
	}
	var found []Node
	for _, n := range g.Nodes {
		if n.Kind == kind && wanted[n.ID] {
			found = append(found, n)
		}
	}
	return found
}

// gateways are the names of all, in order.
func (g Graph) gateways() []string {
	var names []string
	for _, n := range g.Nodes {
		names = append(names, n.Gateway)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
