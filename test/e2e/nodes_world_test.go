package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kongjwt/kong-jwt-operator/api/v1alpha1"
	"github.com/kongjwt/kong-jwt-operator/test/stack"
)

// nodesVariable names the nodes of a real Kong, ADMIN|PROXY with commas between nodes, such as
//
//	http://10.0.0.1:8001|http://10.0.0.1:8000,http://10.0.0.2:8001|http://10.0.0.2:8000
//
// A control plane has no proxy, and a data plane no Admin API: the control plane comes first.
// What the nodes are, the first of them says; specs of other kinds of nodes are skipped.
const nodesVariable = "KONG_NODES"

// What nodes of one Kong have in common.
const (
	sharedDatabase = "that share a database"
	noDatabase     = "without a database"
	hybrid         = "that are data planes of a control plane"
)

// kongNode is where a node's Admin API and its proxy are; either may be missing.
type kongNode struct {
	admin, proxy string
	// process is that of a simulated node.
	process *nodeProcess
}

// readNodes reads what KONG_NODES says.
func readNodes(text string) []kongNode {
	GinkgoHelper()
	var nodes []kongNode
	for one := range strings.SplitSeq(text, ",") {
		admin, proxy, both := strings.Cut(strings.TrimSpace(one), "|")
		Expect(both).To(BeTrue(), "%s: %q is not ADMIN|PROXY", nodesVariable, one)
		nodes = append(nodes, kongNode{admin: strings.TrimSuffix(admin, "/"), proxy: strings.TrimSuffix(proxy, "/")})
	}
	return nodes
}

// nodesOf gives the nodes that KONG_NODES names, where they are of a kind, or else those of a simulated Kong.
func nodesOf(ctx context.Context, kind string) []kongNode {
	GinkgoHelper()
	text := os.Getenv(nodesVariable)
	if text == "" {
		return simulatedNodes(kind)
	}
	nodes := readNodes(text)
	env.AdminURL = nodes[0].admin
	node, err := get(ctx, "/")
	Expect(err).NotTo(HaveOccurred())
	named := sharedDatabase
	switch {
	case node.at("configuration.database") == "off":
		named = noDatabase
	case node.at("configuration.role") == "control_plane":
		named = hybrid
	}
	if named != kind {
		Skip(fmt.Sprintf("%s names nodes %s", nodesVariable, named))
	}
	return nodes
}

// lagOfReplica is db_update_propagation of nodes that share a database: longer than the margin that is waited anyway.
const lagOfReplica = 2 * time.Second

// lagOfDataPlane is longer than the time that a gateway that names no data planes gives them.
const lagOfDataPlane = 3 * time.Second

// nodeProcess is a simulated node: a process, with the flags that it is started with.
type nodeProcess struct {
	*stack.Kongsim
	flags []string
}

// start starts a node that has ended, at the same addresses.
func (n *nodeProcess) start() {
	GinkgoHelper()
	var err error
	n.Kongsim, err = stack.StartKongsim(n.flags...)
	Expect(err).NotTo(HaveOccurred())
}

// startNode starts a node, which lasts as long as the spec, or its container.
func startNode(flags ...string) kongNode {
	GinkgoHelper()
	for _, listen := range []string{"--admin-listen=", "--proxy-listen="} {
		address, err := stack.FreeAddress()
		Expect(err).NotTo(HaveOccurred())
		flags = append(flags, listen+address)
	}
	node := &nodeProcess{flags: append(flags, "--version="+takes.Version, "--propagation=slowest",
		fmt.Sprintf("--db-update-frequency=%s", simulatedUpdate), fmt.Sprintf("--worker-state-update-frequency=%s", simulatedUpdate))}
	node.start()
	DeferCleanup(func() { Expect(node.Stop()).To(Succeed()) })
	return kongNode{node.AdminURL, node.ProxyURL, node}
}

// simulatedNodes starts two proxies. Of data planes the second is later than the first.
func simulatedNodes(kind string) []kongNode {
	GinkgoHelper()
	database := "--database-file=" + filepath.Join(GinkgoT().TempDir(), "database")
	switch kind {
	case sharedDatabase:
		flags := []string{database, fmt.Sprintf("--db-update-propagation=%s", lagOfReplica)}
		return []kongNode{startNode(flags...), startNode(flags...)}
	case noDatabase:
		flags := []string{"--database=off", fmt.Sprintf("--config-load-time=%s", simulatedUpdate/5)}
		return []kongNode{startNode(flags...), startNode(flags...)}
	}
	address, err := stack.FreeAddress()
	Expect(err).NotTo(HaveOccurred())
	control := startNode(database, "--cluster-listen="+address)
	plane := func(lag time.Duration) kongNode {
		GinkgoHelper()
		return startNode("--cluster-control-plane="+control.process.ClusterURL, fmt.Sprintf("--cluster-lag=%s", lag))
	}
	return []kongNode{control, plane(simulatedUpdate), plane(lagOfDataPlane)}
}

// site is a Kong of several nodes, with a KongGateway on it.
type site struct {
	gateway *v1alpha1.KongGateway
	nodes   []kongNode
	// pods are the nodes without a database.
	pods *pods
}

// newSite makes a gateway on nodes of a kind, which knows their proxies where it is to ask them. It lasts as long as
// the spec, or its container. Of nodes without a database the caller adds the pods.
func newSite(ctx SpecContext, kind string, ask bool) *site {
	GinkgoHelper()
	formerAdmin, formerProxy, formerPatience := env.AdminURL, env.ProxyURL, patience
	DeferCleanup(func() {
		env.AdminURL, env.ProxyURL, patience = formerAdmin, formerProxy, formerPatience
		SetDefaultEventuallyTimeout(patience)
	})
	s := &site{nodes: nodesOf(ctx, kind)}
	env.AdminURL, env.ProxyURL = s.nodes[0].admin, s.proxies()[0]
	s.gateway = newGateway(named(unique("nodes")))
	s.gateway.Spec.Policy.Redis = nil
	if kind == noDatabase {
		s.pods = newPods(ctx)
		s.gateway.Spec.AdminAPI = v1alpha1.AdminAPI{ServiceRef: s.pods.reference()}
	}
	if ask {
		s.gateway.Spec.DataPlanes = &v1alpha1.DataPlanes{URLs: s.proxies()}
	}
	create(ctx, s.gateway)
	DeferCleanup(func() {
		ctx, cancel := background()
		defer cancel()
		remove(ctx, s.gateway)
		for _, node := range s.nodes {
			if node.admin == "" {
				continue
			}
			env.AdminURL = node.admin
			Eventually(left).WithContext(ctx).WithArguments(s.gateway).Should(BeEmpty(), "nothing is left at %s", node.admin)
			if kind == noDatabase {
				empty(ctx, node)
			}
		}
	})
	return s
}

// left are the entities of a gateway, but for the one that says which configuration a node without a database has.
func left(ctx context.Context, of *v1alpha1.KongGateway) (map[string]entity, error) {
	found, err := tagged(ctx, gatewayTag(of.Name))
	maps.DeleteFunc(found, func(_ string, e entity) bool { return e["username"] == "kongjwt-revision:"+of.Name })
	return found, err
}

// ready waits for the gateway, and makes what is waited for as long as its nodes take.
func (s *site) ready(ctx SpecContext) {
	GinkgoHelper()
	awaitReady(ctx, s.gateway)
	waitFor(s.gateway)
	patience += delays * lagOfDataPlane
	SetDefaultEventuallyTimeout(patience)
}

func (s *site) proxies() []string {
	var all []string
	for _, node := range s.nodes {
		if node.proxy != "" {
			all = append(all, node.proxy)
		}
	}
	return all
}

// everywhere is a call of each node's proxy.
func (s *site) everywhere(c call) []call {
	var all []call
	for _, proxy := range s.proxies() {
		all = append(all, c.on(proxy))
	}
	return all
}

// pods are nodes without a database behind a headless Service. A front stands before the Admin API of each, at an
// address that Kubernetes takes for a pod's, so that pods of a real Kong can go and come at another address.
type pods struct {
	namespace, address string
	all                []*pod // that ever came
}

// pod is one of them.
type pod struct {
	node  kongNode
	front *front
	slice *discoveryv1.EndpointSlice
}

const (
	podsService = "kong-admin"
	podsPort    = 8001
)

func newPods(ctx SpecContext) *pods {
	GinkgoHelper()
	p := &pods{address: stack.PodAddress()}
	if p.address == "" {
		Skip("this machine has no address that Kubernetes takes for a pod's")
	}
	p.namespace = newNamespace(ctx, unique("pods"))
	DeferCleanup(func() {
		for _, one := range p.all {
			one.crash()
		}
	})
	create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: podsService},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "admin", Port: podsPort}}},
	})
	return p
}

func (p *pods) reference() *v1alpha1.GatewayServiceReference {
	return &v1alpha1.GatewayServiceReference{Namespace: p.namespace, Name: podsService, Port: podsPort, Scheme: "http"}
}

// anyPod is the address of an endpoint of the Service that a host names, as the cluster's DNS and kube-proxy give it;
// empty where it has none.
func anyPod(host string) string {
	ctx, cancel := background()
	defer cancel()
	service, namespace, _ := strings.Cut(strings.TrimSuffix(host, ".svc"), ".")
	var slices discoveryv1.EndpointSliceList
	err := env.Client.List(ctx, &slices, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: service})
	if err != nil || len(slices.Items) == 0 {
		return ""
	}
	slice := slices.Items[rand.IntN(len(slices.Items))]
	return net.JoinHostPort(slice.Endpoints[0].Addresses[0], fmt.Sprint(*slice.Ports[0].Port))
}

// come puts a node behind the Service, as a pod that has just started: at an address of its own, and without a
// configuration.
func (p *pods) come(ctx context.Context, node kongNode) *pod {
	GinkgoHelper()
	empty(ctx, node)
	one := &pod{node: node, front: newFrontAt(net.JoinHostPort(p.address, "0"), node.admin)}
	address, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(one.front.url, "http://"))
	Expect(err).NotTo(HaveOccurred())
	name := fmt.Sprintf("%s-%d", podsService, address.Port)
	one.slice = &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: podsService},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: pointer("admin"), Port: pointer(int32(address.Port))}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{p.address}, Conditions: discoveryv1.EndpointConditions{Ready: pointer(true)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.namespace, Name: name, UID: types.UID(name)},
		}},
	}
	create(ctx, one.slice)
	p.all = append(p.all, one)
	return one
}

// empty makes a node what it is before it was given a configuration.
func empty(ctx context.Context, node kongNode) {
	GinkgoHelper()
	defer func(former string) { env.AdminURL = former }(env.AdminURL)
	env.AdminURL = node.admin
	status, answer, err := admin(ctx, http.MethodPost, "/config", map[string]any{"_format_version": "3.0"})
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(http.StatusCreated), "%v", answer)
}

// crash ends the pod's Admin API; Kubernetes has not noticed.
func (p *pod) crash() {
	GinkgoHelper()
	Expect(p.front.leave()).To(Succeed())
}

// leave takes the pod out of the Service, and ends it: what it held is gone.
func (p *pod) leave(ctx context.Context) {
	GinkgoHelper()
	Expect(env.Client.Delete(ctx, p.slice)).To(Succeed())
	p.crash()
	empty(ctx, p.node)
}
