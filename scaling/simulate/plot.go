package simulate

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The plot's geometry, in pixels.
const (
	plotWidth, plotHeight = 960, 400
	panelTop, panelBottom = 50, 340
	panelWidth            = 380
	panelLeft             = 70
	panelRight            = 560 // left edge of the second panel
)

var colours = [...]string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"}

// Plot draws results as SVG: what each policy trades (cold starts against wasted memory), and its memory over time.
func Plot(results []Result) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
`, plotWidth, plotHeight, plotWidth, plotHeight)
	var wasted, cold, memory float64
	var span time.Duration
	for _, r := range results {
		wasted, cold, span = max(wasted, r.WastedGBs), max(cold, r.ColdRate*100), max(span, r.Span)
		for _, v := range r.MemoryGB {
			memory = max(memory, v)
		}
	}
	hours := max(span.Hours(), 1e-9)
	trade := axes{left: panelLeft, x: roundUp(wasted), y: roundUp(cold)}
	trade.draw(&b, "Cold starts against idle memory", "idle memory, GB-s", "cold starts, %")
	over := axes{left: panelRight, x: hours, y: roundUp(memory)}
	over.draw(&b, "Memory over time", "hours", "GB")
	for i, r := range results {
		colour, name := colours[i%len(colours)], html.EscapeString(r.label())
		x, y := trade.at(r.WastedGBs, r.ColdRate*100)
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"><title>%s: %.2f %% cold, %.0f GB-s idle</title></circle>`+"\n",
			x, y, colour, name, r.ColdRate*100, r.WastedGBs)
		b.WriteString(`<polyline fill="none" stroke-width="1.5" stroke="` + colour + `" points="`)
		for n, v := range r.MemoryGB {
			x, y := over.at((float64(n)+0.5)/float64(len(r.MemoryGB))*r.Span.Hours(), v)
			fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
		}
		b.WriteString("\"/>\n")
		lx, ly := panelLeft+panelWidth-150, panelTop+14+16*i
		fmt.Fprintf(&b, `<circle cx="%d" cy="%d" r="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", lx, ly-4, colour, lx+10, ly, name)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// label tells runs apart.
func (r Result) label() string {
	if r.Provisioned > 0 {
		return fmt.Sprintf("%s + %d provisioned", r.Policy, r.Provisioned)
	}
	return r.Policy
}

// axes is one panel, from 0 to x and from 0 to y.
type axes struct {
	left int
	x, y float64
}

func (a axes) at(x, y float64) (float64, float64) {
	return float64(a.left) + x/a.x*panelWidth, panelBottom - y/a.y*(panelBottom-panelTop)
}

func (a axes) draw(b *strings.Builder, title, x, y string) {
	fmt.Fprintf(b, `<text x="%d" y="24" font-size="14" font-weight="bold">%s</text>`+"\n", a.left, title)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", a.left+panelWidth/2, panelBottom+38, x)
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", a.left, panelTop-8, y)
	for i := range 5 {
		share := float64(i) / 4
		px, py := a.at(a.x*share, a.y*share)
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			a.left, py, a.left+panelWidth, py, a.left-6, py+4, number(a.y*share))
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", px, panelBottom+18, number(a.x*share))
	}
	fmt.Fprintf(b, `<path d="M%d %dV%dH%d" fill="none" stroke="black"/>`+"\n", a.left, panelTop, panelBottom, a.left+panelWidth)
}

// roundUp is the end of an axis: one, two, or five times a power of ten.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*power {
			return n * power
		}
	}
	return 10 * power
}

func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
