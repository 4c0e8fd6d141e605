package graph

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kongjwt/kong-jwt-operator/internal/cli/output"
)

// Sizes of a picture, in pixels.
const (
	boxHeight, rowHeight = 26, 38
	columnGap, margin    = 90, 20
	letterWidth          = 7.2 // of a monospaced font at 12 pixels
	titleHeight          = 34
	minWidth             = 60
	maxLetters           = 48
	sweeps               = 4
	stylesheet           = `text{font:12px monospace}.consumer{fill:#e3f2fd}.group{fill:#fff8e1}.service{fill:#e8f5e9}.route{fill:#f5f5f5}rect{stroke:#546e7a}.revoked{stroke-dasharray:4 3}.wide{fill:#ffccbc}path{fill:none;stroke:#90a4ae}.title{font-weight:bold}`
)

// placed is where a node is.
type placed struct {
	Node
	text                string
	x, y, width         float64
	neighbors, position float64
}

// svg draws consumers, groups, services and routes in four columns, a band a gateway. It is pure: equal graphs give
// equal pictures.
func (g Graph) svg(out io.Writer) error {
	nodes := map[string]*placed{}
	var bands []string
	top, right := float64(margin), 0.0
	for _, gateway := range g.gateways() {
		columns := g.columns(gateway, nodes)
		g.untangle(columns, nodes)
		bottom, edge := place(columns, top+titleHeight)
		bands = append(bands, fmt.Sprintf(`<text class="title" x="%d" y="%.0f">%s</text>`, margin, top+16, escape("gateway "+gateway)))
		top, right = bottom+margin, max(right, edge)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="who may call what">`+"\n", right+margin, top, right+margin, top)
	fmt.Fprintf(&b, "<style>%s</style>\n", stylesheet)
	b.WriteString(strings.Join(bands, "\n") + "\n")
	for _, e := range g.Edges {
		from, to := nodes[e.From], nodes[e.To]
		x1, y1, x2, y2 := from.x+from.width, from.y+boxHeight/2, to.x, to.y+boxHeight/2
		bend := (x2 - x1) / 2
		fmt.Fprintf(&b, `<path d="M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f"/>`+"\n", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
	}
	for _, n := range g.Nodes {
		nodes[n.ID].draw(&b)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// columns sorts the nodes of a gateway into columns; those that nothing is in are left out.
func (g Graph) columns(gateway string, nodes map[string]*placed) [][]*placed {
	all := make([][]*placed, 4)
	for _, n := range g.Nodes {
		if n.Gateway != gateway {
			continue
		}
		p := &placed{Node: n, text: shortened(title(n))}
		p.width = max(minWidth, letterWidth*float64(utf8.RuneCountInString(p.text))+16)
		nodes[n.ID] = p
		all[column(n.Kind)] = append(all[column(n.Kind)], p)
	}
	return slices.DeleteFunc(all, func(c []*placed) bool { return len(c) == 0 })
}

// untangle orders each column by where its nodes' neighbors are (the barycenter heuristic of layered drawings), so
// that fewer edges cross.
func (g Graph) untangle(columns [][]*placed, nodes map[string]*placed) {
	number := func() {
		for _, c := range columns {
			for i, p := range c {
				p.position = float64(i) / float64(len(c))
			}
		}
	}
	number()
	for sweep := range sweeps {
		for _, p := range nodes {
			p.neighbors = 0
		}
		degree := map[string]float64{}
		for _, e := range g.Edges {
			from, to := nodes[e.From], nodes[e.To]
			if from == nil || to == nil {
				continue // of a gateway that is not placed yet
			}
			from.neighbors, to.neighbors = from.neighbors+to.position, to.neighbors+from.position
			degree[e.From]++
			degree[e.To]++
		}
		for i, c := range columns {
			if i%2 != sweep%2 {
				continue
			}
			slices.SortStableFunc(c, func(x, y *placed) int {
				return cmp.Compare(mean(x, degree), mean(y, degree))
			})
		}
		number()
	}
}

func mean(p *placed, degree map[string]float64) float64 {
	if degree[p.ID] == 0 {
		return p.position
	}
	return p.neighbors / degree[p.ID]
}

// place gives each node its coordinates, and each column the middle of the band.
func place(columns [][]*placed, top float64) (bottom, right float64) {
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, len(c))
	}
	x := float64(margin)
	for _, c := range columns {
		y, widest := top+float64((tallest-len(c))*rowHeight)/2, 0.0
		for _, p := range c {
			p.x, p.y = x, y
			y += rowHeight
			widest = max(widest, p.width)
		}
		right = x + widest
		x = right + columnGap
	}
	return top + float64(tallest*rowHeight), right
}

func (p *placed) draw(b *strings.Builder) {
	class := string(p.Kind)
	if p.Revoked {
		class += " revoked"
	}
	if p.Everyone || p.Anonymous {
		class += " wide"
	}
	radius := 3
	if p.Kind == Consumer {
		radius = boxHeight / 2
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%d" rx="%d"/><text x="%.1f" y="%.1f">%s</text></g>`+"\n",
		escape(string(p.Kind)+" "+title(p.Node)), class, p.x, p.y, p.width, boxHeight, radius, p.x+8, p.y+17, escape(p.text))
}

// shortened cuts long text; the picture's title has all of it.
func shortened(text string) string {
	if letters := []rune(text); len(letters) > maxLetters {
		return string(letters[:maxLetters-1]) + "…"
	}
	return text
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(output.Line(text))) // a Builder takes everything
	return b.String()
}
