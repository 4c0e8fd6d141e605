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
			b.WriteString("    from  " + style.Paint(output.Warning, fmt.Sprintf("every consumer of the gateway (%d)", len(g.to(group.ID, Consumer)))) + "\n")
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
	var none []Node
	for _, n := range g.Nodes {
		if n.Gateway == gateway && n.Kind == Consumer && !n.Anonymous && !g.calls(n) {
			none = append(none, n)
		}
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

// mostNames is how many consumers a line names.
const mostNames = 10

func names(consumers []Node) string {
	var all []string
	for _, c := range consumers {
		label := output.Line(c.Label)
		if c.Revoked {
			label += " (revoked)"
		}
		all = append(all, label)
	}
	if len(all) > mostNames {
		return fmt.Sprintf("%s and %d more (-o json has all)", strings.Join(all[:mostNames], ", "), len(all)-mostNames)
	}
	if len(all) == 0 {
		return "nobody"
	}
	return strings.Join(all, ", ")
}
