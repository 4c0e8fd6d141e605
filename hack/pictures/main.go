// Command pictures draws, in SVG: "dashboard" what panels show, of JSON, and "graph" a graph, of Graphviz's text. What
// it reads is made by test/pictures; a module of its own keeps the libraries that draw out of the operator's.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/goccy/go-graphviz"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Panel is one of a dashboard, in Grafana's words.
type Panel struct {
	Title, Type, Unit string
	// X, Y, W and H are its place, of 24 columns.
	X, Y, W, H int
	Series     []Series
}

// Series is a line: values by seconds since 1970.
type Series struct {
	Name   string
	Points [][2]float64
}

// column and row are the size of a unit of the grid, margin the room around a panel, in points.
const (
	column vg.Length = 40
	row    vg.Length = 30
	margin vg.Length = 6
)

func main() {
	pictures := map[string]func(io.Reader, io.Writer) error{"dashboard": dashboard, "graph": graph}
	picture := pictures[strings.Join(os.Args[1:], " ")]
	if picture == nil {
		fmt.Fprintln(os.Stderr, "pictures: dashboard or graph?")
		os.Exit(2)
	}
	if err := picture(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

// graph draws Graphviz's text.
func graph(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	ctx := context.Background()
	engine, err := graphviz.New(ctx)
	if err != nil {
		return err
	}
	parsed, err := graphviz.ParseBytes(text)
	if err != nil {
		return err
	}
	return engine.Render(ctx, parsed, graphviz.SVG, out)
}

// dashboard draws panels, in JSON.
func dashboard(in io.Reader, out io.Writer) error {
	var panels []Panel
	if err := json.NewDecoder(in).Decode(&panels); err != nil {
		return err
	}
	height, from, to := 0, math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		height = max(height, p.Y+p.H)
		for _, s := range p.Series {
			for _, point := range s.Points {
				from, to = min(from, point[0]), max(to, point[0])
			}
		}
	}
	svg := vgsvg.New(24*column, vg.Length(height)*row)
	whole := draw.New(svg)
	whole.SetColor(color.Gray{Y: 244})
	whole.Fill(whole.Rectangle.Path())
	for _, p := range panels {
		if err := p.draw(whole, height, from, to); err != nil {
			return fmt.Errorf("panel %s: %w", p.Title, err)
		}
	}
	_, err := svg.WriteTo(out)
	return err
}

func (p Panel) draw(whole draw.Canvas, height int, from, to float64) error {
	area := draw.Canvas{Canvas: whole.Canvas, Rectangle: vg.Rectangle{
		Min: vg.Point{X: vg.Length(p.X)*column + margin/2, Y: vg.Length(height-p.Y-p.H)*row + margin/2},
		Max: vg.Point{X: vg.Length(p.X+p.W)*column - margin/2, Y: vg.Length(height-p.Y)*row - margin/2},
	}}
	area.SetColor(color.White)
	area.Fill(area.Rectangle.Path())
	inner := draw.Crop(area, margin, -margin, margin, -margin)
	switch p.Type {
	case "stat":
		return p.drawStat(inner)
	case "table":
		return p.drawTable(inner)
	}
	return p.drawLines(inner, from, to)
}

func text(size vg.Length) draw.TextStyle {
	style := plot.New().Title.TextStyle
	style.Font = font.From(plot.DefaultFont, size)
	style.XAlign, style.YAlign = draw.XLeft, draw.YTop
	return style
}

// drawStat writes the last value of each series, as large as it is meant to be read.
func (p Panel) drawStat(c draw.Canvas) error {
	c.FillText(text(11), vg.Point{X: c.Min.X, Y: c.Max.Y}, p.Title)
	values := make([]string, 0, len(p.Series))
	for _, s := range p.Series {
		if n := len(s.Points); n > 0 {
			values = append(values, p.value(s.Points[n-1]))
		}
	}
	style := text(30)
	style.XAlign, style.YAlign = draw.XCenter, draw.YCenter
	c.FillText(style, c.Center(), cmp.Or(strings.Join(values, " / "), "no data"))
	return nil
}

// value is a point as it is read.
func (p Panel) value(point [2]float64) string {
	if p.Unit == "dateTimeFromNow" {
		at := time.UnixMilli(int64(point[1])).Sub(time.Unix(int64(point[0]), 0))
		if at > 48*time.Hour {
			return fmt.Sprintf("in %.0f days", at.Hours()/24)
		}
		return "in " + at.Round(time.Minute).String()
	}
	return fmt.Sprintf("%.4g", point[1])
}

// drawTable writes a line for each series.
func (p Panel) drawTable(c draw.Canvas) error {
	c.FillText(text(11), vg.Point{X: c.Min.X, Y: c.Max.Y}, p.Title)
	for i, s := range p.Series {
		c.FillText(text(9), vg.Point{X: c.Min.X, Y: c.Max.Y - vg.Length(24+14*i)}, s.Name)
	}
	return nil
}

// drawLines draws a line for each series, over one time for all panels.
func (p Panel) drawLines(c draw.Canvas, from, to float64) error {
	chart := plot.New()
	chart.Title.Text, chart.Title.TextStyle.Font.Size = p.Title, 11
	chart.X.Tick.Marker = plot.TimeTicks{Format: "15:04:05", Ticker: every{}}
	chart.X.Tick.Label.Font.Size, chart.Y.Tick.Label.Font.Size = 8, 8
	chart.Y.Label.Text, chart.Y.Label.TextStyle.Font.Size = map[string]string{"s": "seconds", "reqps": "a second", "ops": "a second"}[p.Unit], 8
	chart.Legend.Top, chart.Legend.Left = true, true
	chart.Legend.TextStyle.Font.Size, chart.Legend.ThumbnailWidth = 8, 12
	chart.Add(plotter.NewGrid())
	highest := 0.0
	for i, s := range p.Series {
		for first, part := range s.parts() {
			line, err := plotter.NewLine(part)
			if err != nil {
				return err
			}
			line.Color, line.Width = plotutil.Color(i), 1.5
			chart.Add(line)
			if first == 0 {
				chart.Legend.Add(s.Name, line)
			}
			_, _, _, most := plotter.XYRange(part)
			highest = max(highest, most)
		}
	}
	chart.X.Min, chart.X.Max = from, to
	// The names are above the lines.
	chart.Y.Min, chart.Y.Max = 0, cmp.Or(highest, 1)*(1.15+0.09*float64(len(p.Series)))
	chart.Draw(c)
	return nil
}

// gap is how many seconds without a value end a line.
const gap = 15

// parts are the points of a series where it has values.
func (s Series) parts() (parts []plotter.XYs) {
	for i, point := range s.Points {
		if i == 0 || point[0]-s.Points[i-1][0] > gap {
			parts = append(parts, nil)
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], plotter.XY{X: point[0], Y: point[1]})
	}
	return parts
}

// every ticks at whole minutes.
type every struct{}

// Ticks implements plot.Ticker.
func (every) Ticks(from, to float64) (ticks []plot.Tick) {
	const step = 60
	for at := float64(int(from)/step+1) * step; at <= to; at += step {
		ticks = append(ticks, plot.Tick{Value: at, Label: "at"})
	}
	return ticks
}
