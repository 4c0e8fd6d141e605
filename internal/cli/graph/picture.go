package graph

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// collapse shows consumers that may call the same as one, and routes as lines of their service: what a picture of
// hundreds can show.
func (g Graph) collapse() Graph {
	targets := map[string][]string{}
	routes := map[string][]string{}
	labels := map[string]string{}
	for _, n := range g.Nodes {
		labels[n.ID] = n.Label
	}
	for _, e := range g.Edges {
		if strings.HasPrefix(e.To, string(Route)+":") {
			routes[e.From] = append(routes[e.From], labels[e.To])
			continue
		}
		targets[e.From] = append(targets[e.From], e.To)
	}
	out := Graph{}
	kept := map[string]bool{}
	first := map[string]int{}
	for _, n := range g.Nodes {
		switch n.Kind {
		case Route:
			continue
		case Service:
			slices.SortFunc(routes[n.ID], naturally)
			n.Members = routes[n.ID]
		case Consumer:
			same := fmt.Sprintf("%s %t %t %t %q", n.Gateway, n.Revoked, n.NotReady, n.Anonymous, targets[n.ID])
			if i, found := first[same]; found {
				out.Nodes[i].Members = append(out.Nodes[i].Members, n.Label)
				continue
			}
			first[same] = len(out.Nodes)
			n.Members = []string{n.Label}
		}
		kept[n.ID] = true
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		if kept[e.From] && kept[e.To] {
			out.Edges = append(out.Edges, e)
		}
	}
	return out
}

// mostLines is how many names a node of a picture shows.
const mostLines = 4

// lines are what a node of a picture shows.
func (n Node) lines() []string {
	var lines []string
	switch {
	case n.Kind == Consumer && len(n.Members) > mostLines:
		lines = []string{fmt.Sprintf("%d consumers", len(n.Members)), n.Members[0] + " to " + n.Members[len(n.Members)-1]}
	case n.Kind == Consumer:
		lines = slices.Clone(n.Members)
	case len(n.Members) > mostLines:
		lines = append([]string{n.Label}, n.Members[:mostLines-1]...)
		lines = append(lines, fmt.Sprintf("and %d more routes", len(n.Members)-mostLines+1))
	default:
		lines = append([]string{n.Label}, n.Members...)
	}
	if n.Revoked {
		lines = append(lines, "revoked")
	}
	return lines
}

// look is how a kind of node is drawn: by Graphviz, and by Mermaid.
type look struct {
	kind        Kind
	shape, fill string
	begin, end  string
	says        string
}

var looks = []look{
	{Consumer, "ellipse", "#e3f2fd", "([", "])", "consumers: they call"},
	{Group, "hexagon", "#fff8e1", "{{", "}}", "group: it is let in"},
	{Service, "box", "#e8f5e9", "[", "]", "service, and its routes"},
}

func lookOf(k Kind) look { return looks[column(k)] }

// mermaid writes a flowchart for Markdown. Text is escaped by entity codes, as Mermaid asks.
func (g Graph) mermaid(out io.Writer) error {
	g = g.collapse()
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	number := map[string]int{}
	for i, gateway := range g.gateways() {
		fmt.Fprintf(&b, "  subgraph g%d[%s]\n", i, mermaidText("gateway "+gateway))
		for n, node := range g.Nodes {
			if node.Gateway != gateway {
				continue
			}
			number[node.ID] = n
			as := lookOf(node.Kind)
			class := ":::" + string(node.Kind)
			if node.dashed() {
				class += "Dashed"
			}
			fmt.Fprintf(&b, "    n%d%s%s%s%s\n", n, as.begin, mermaidText(node.lines()...), as.end, class)
		}
		b.WriteString("  end\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  n%d --> n%d\n", number[e.From], number[e.To])
	}
	b.WriteString("  subgraph legend\n")
	for _, as := range looks {
		fmt.Fprintf(&b, "    legend_%s%s%s%s:::%s\n", as.kind, as.begin, mermaidText(as.says), as.end, as.kind)
	}
	as := looks[0]
	fmt.Fprintf(&b, "    legend_dashed%s%s%s:::%sDashed\n", as.begin, mermaidText("not Ready, or revoked"), as.end, as.kind)
	b.WriteString("    legend_consumer --> legend_group --> legend_service\n  end\n")
	for _, as := range looks {
		fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:#546e7a,color:#000\n", as.kind, as.fill)
		fmt.Fprintf(&b, "  classDef %sDashed fill:%s,stroke:#546e7a,color:#000,stroke-dasharray:4 3\n", as.kind, as.fill)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (n Node) dashed() bool { return n.NotReady || n.Revoked }

func mermaidText(lines ...string) string {
	replacer := strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "`", "#96;")
	for i := range lines {
		lines[i] = replacer.Replace(output.Line(lines[i]))
	}
	return `"` + strings.Join(lines, "<br/>") + `"`
}

// dot writes a graph for Graphviz.
func (g Graph) dot(out io.Writer) error {
	g = g.collapse()
	var b strings.Builder
	b.WriteString("digraph kongjwt {\n  rankdir=LR;\n  ranksep=1.5;\n  nodesep=0.15;\n  label=\"who may call what\";\n  labelloc=t;\n" +
		"  node [fontname=\"sans-serif\", fontsize=11, style=filled, color=\"#546e7a\"];\n  edge [color=\"#90a4ae\", arrowsize=0.7];\n")
	for i, gateway := range g.gateways() {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, dotText("gateway "+gateway))
		for _, node := range g.Nodes {
			if node.Gateway == gateway {
				fmt.Fprintf(&b, "    %s [label=%s, %s];\n", dotText(node.ID), dotText(node.lines()...), lookOf(node.Kind).dot(node.dashed()))
			}
		}
		b.WriteString("  }\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s;\n", dotText(e.From), dotText(e.To))
	}
	b.WriteString("  subgraph cluster_legend {\n    label=legend;\n    style=dotted;\n")
	for _, as := range looks {
		fmt.Fprintf(&b, "    legend_%s [label=%s, %s];\n", as.kind, dotText(as.says), as.dot(false))
	}
	fmt.Fprintf(&b, "    legend_dashed [label=%s, %s];\n    legend_consumer -> legend_group -> legend_service;\n  }\n}\n",
		dotText("not Ready, or revoked"), looks[0].dot(true))
	_, err := io.WriteString(out, b.String())
	return err
}

func (l look) dot(dashed bool) string {
	style := ""
	if dashed {
		style = `, style="filled,dashed"`
	}
	return fmt.Sprintf("shape=%s, fillcolor=%q%s", l.shape, l.fill, style)
}

func dotText(lines ...string) string {
	replacer := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for i := range lines {
		lines[i] = replacer.Replace(output.Line(lines[i]))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// naturally orders names as people do: worker-2 before worker-10.
func naturally(a, b string) int {
	for a != "" && b != "" {
		m, n := digits(a), digits(b)
		if m > 0 && n > 0 {
			x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
			if order := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); order != 0 {
				return order
			}
			a, b = a[m:], b[n:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits counts those that a text begins with.
func digits(text string) int { return len(text) - len(strings.TrimLeft(text, "0123456789")) }
