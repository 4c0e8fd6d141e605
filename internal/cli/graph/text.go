package graph

import (
	"fmt"
	"io"
	"strings"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// text writes who may call each service, by gateway.
func (g Graph) text(out io.Writer, style output.Style) error {
	var b strings.Builder
	for _, gateway := range g.gateways() {
		b.WriteString(style.Bold("gateway "+output.Line(gateway)) + "\n")
		for _, n := range g.Nodes {
			if n.Gateway == gateway && n.Kind == Service {
				g.serviceText(&b, style, n)
			}
		}
		g.idle(&b, style, gateway)
	}
	if b.Len() == 0 {
		b.WriteString("There are no services and no consumers\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (g Graph) serviceText(b *strings.Builder, style output.Style, service Node) {
	b.WriteString("  service " + output.Line(service.Label) + "\n")
	for _, r := range g.from(service.ID, Route) {
		b.WriteString("    at    " + output.Line(r.Label) + "\n")
	}
	for _, group := range g.to(service.ID, Group) {
		if group.Everyone {
			b.WriteString("    from  " + style.Paint(output.Warning, fmt.Sprintf("every consumer of the gateway (%d)", g.count(service.Gateway))) + "\n")
			continue
		}
		members := names(g.to(group.ID, Consumer))
		fmt.Fprintf(b, "    from  group %s: %s\n", output.Line(group.Label), members)
	}
	for _, c := range g.to(service.ID, Consumer) {
		text := "consumer " + names([]Node{c})
		if c.Anonymous {
			text = style.Paint(output.Warning, output.Line(c.Label))
		}
		b.WriteString("    from  " + text + "\n")
	}
	if len(g.to(service.ID, Group))+len(g.to(service.ID, Consumer)) == 0 {
		b.WriteString("    from  " + style.Paint(output.Faint, "nobody") + "\n")
	}
}

// idle names the consumers that may call nothing.
func (g Graph) idle(b *strings.Builder, style output.Style, gateway string) {
	open := false
	for _, n := range g.Nodes {
		open = open || n.Gateway == gateway && n.Everyone
	}
	var none []Node
	for _, n := range g.Nodes {
		if n.Gateway != gateway || n.Kind != Consumer || n.Anonymous || open || g.calls(n) {
			continue
		}
		none = append(none, n)
	}
	if len(none) > 0 {
		b.WriteString("  " + style.Paint(output.Faint, "may call nothing: "+names(none)) + "\n")
	}
}

func (g Graph) calls(consumer Node) bool {
	if len(g.from(consumer.ID, Service)) > 0 {
		return true
	}
	for _, group := range g.from(consumer.ID, Group) {
		if len(g.from(group.ID, Service)) > 0 {
			return true
		}
	}
	return false
}

func (g Graph) count(gateway string) int {
	count := 0
	for _, n := range g.Nodes {
		if n.Gateway == gateway && n.Kind == Consumer && !n.Anonymous {
			count++
		}
	}
	return count
}

func names(consumers []Node) string {
	var all []string
	for _, c := range consumers {
		label := output.Line(c.Label)
		if c.Revoked {
			label += " (revoked)"
		}
		all = append(all, label)
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(all, ", ")
}

// mermaid writes a flowchart for Markdown. Text is escaped by entity codes, as Mermaid asks.
func (g Graph) mermaid(out io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	number := map[string]int{}
	shapes := map[Kind][2]string{Consumer: {"([", "])"}, Group: {"{{", "}}"}, Service: {"[", "]"}, Route: {">", "]"}}
	for i, gateway := range g.gateways() {
		fmt.Fprintf(&b, "  subgraph g%d[%s]\n", i, mermaidText("gateway "+gateway))
		for n, node := range g.Nodes {
			if node.Gateway != gateway {
				continue
			}
			number[node.ID] = n
			shape := shapes[node.Kind]
			fmt.Fprintf(&b, "    n%d%s%s%s\n", n, shape[0], mermaidText(title(node)), shape[1])
		}
		b.WriteString("  end\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  n%d --> n%d\n", number[e.From], number[e.To])
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func mermaidText(text string) string {
	replacer := strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "`", "#96;")
	return `"` + replacer.Replace(output.Line(text)) + `"`
}

// dot writes a graph for Graphviz.
func (g Graph) dot(out io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph kongjwt {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n")
	shapes := map[Kind]string{Consumer: "ellipse", Group: "hexagon", Service: "box", Route: "note"}
	for i, gateway := range g.gateways() {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, dotText("gateway "+gateway))
		for _, node := range g.Nodes {
			if node.Gateway != gateway {
				continue
			}
			style := ""
			if node.Revoked {
				style = ", style=dashed"
			}
			fmt.Fprintf(&b, "    %s [label=%s, shape=%s%s];\n", dotText(node.ID), dotText(title(node)), shapes[node.Kind], style)
		}
		b.WriteString("  }\n")
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s;\n", dotText(e.From), dotText(e.To))
	}
	b.WriteString("}\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func dotText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(output.Line(text)) + `"`
}

func title(n Node) string {
	if n.Revoked {
		return n.Label + " (revoked)"
	}
	return n.Label
}
