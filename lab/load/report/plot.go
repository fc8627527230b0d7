package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
)

// The picture of a plot, in units of its view box, and the frame inside of it.
const (
	width, height            = 640.0, 230.0
	left, right, top, bottom = 58.0, 12.0, 12.0, 34.0
	yTicks                   = 4
)

// plot is one diagram: a line over time or over percentiles.
type plot struct {
	title, unit string
	x, y        []float64
	xTicks      []tick
	xMax        float64
	steps       bool // the line keeps its level until the next point
	shades      []load.Window
	marks       []mark
}

// tick is a place on the horizontal axis, and mark a point worth its value.
type tick struct {
	at   float64
	text string
}

type mark struct {
	x, y float64
	text string
}

// plots returns the diagrams of a result.
func plots(r load.Result) []template.HTML {
	var all []template.HTML
	if r.Latency != nil && len(r.Latency.Curve) > 1 {
		all = append(all, latencyPlot(*r.Latency).svg())
	}
	for _, series := range r.Series {
		if len(series.Values) > 1 {
			all = append(all, seriesPlot(series, r.Outages).svg())
		}
	}
	return all
}

// titles are the words for series; the unit is in brackets.
var titles = map[string][2]string{
	"deliveriesPerSecond": {"Deliveries", "per second"}, "connections": {"Connections", "sockets of the harness"},
	"memoryBytes": {"Memory of the gateways", "MiB"}, "descriptors": {"Open descriptors of the gateways", ""},
}

func seriesPlot(s measure.Series, outages []load.Window) plot {
	words, known := titles[s.Name]
	if !known {
		words = [2]string{s.Name, ""}
	}
	p := plot{title: words[0], unit: words[1], steps: s.Name != "memoryBytes", xMax: float64(len(s.Values)) * s.SlotMs / 1000}
	scale := 1.0
	if s.Name == "memoryBytes" {
		scale = 1 << 20
	}
	for i, value := range s.Values {
		p.x, p.y = append(p.x, float64(i)*s.SlotMs/1000), append(p.y, value/scale)
	}
	for _, outage := range outages {
		p.shades = append(p.shades, load.Window{What: outage.What, FromMs: outage.FromMs / 1000, ToMs: outage.ToMs / 1000})
	}
	for _, at := range nice(p.xMax, 6) {
		p.xTicks = append(p.xTicks, tick{at, short(at) + " s"})
	}
	return p
}

// latencyPlot draws percentiles as HdrHistogram does: each nine takes as much room
// as the one before.
func latencyPlot(d measure.Distribution) plot {
	p := plot{title: "Latency by percentile", unit: "ms"}
	place := func(percent float64) float64 {
		return math.Log10(100 / (100 - math.Min(percent, 99.999)))
	}
	for _, point := range d.Curve {
		if place(point.Percent) > place(99.99) {
			continue
		}
		p.x, p.y = append(p.x, place(point.Percent)), append(p.y, point.Ms)
	}
	p.xMax = place(99.99)
	for _, percent := range []float64{0, 50, 90, 95, 99, 99.9, 99.99} {
		p.xTicks = append(p.xTicks, tick{place(percent), strconv.FormatFloat(percent, 'g', -1, 64)})
	}
	p.marks = []mark{{place(50), d.P50, "p50 " + number(d.P50)}, {place(95), d.P95, "p95 " + number(d.P95)}, {place(99), d.P99, "p99 " + number(d.P99)}}
	return p
}

// svg draws the plot. Everything in it is a number or escaped.
func (p plot) svg() template.HTML {
	yMax := 0.0
	for _, y := range p.y {
		yMax = max(yMax, y)
	}
	ticks := nice(yMax, yTicks)
	yMax = max(yMax, ticks[len(ticks)-1])
	if p.xMax == 0 || yMax == 0 {
		return ""
	}
	atX := func(x float64) float64 { return left + x/p.xMax*(width-left-right) }
	atY := func(y float64) float64 { return height - bottom - y/yMax*(height-top-bottom) }
	var b strings.Builder
	title := p.title
	if p.unit != "" {
		title += ", " + p.unit
	}
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, html.EscapeString(title), width, height, html.EscapeString(title))
	for _, s := range p.shades {
		from, to := atX(s.FromMs), atX(min(max(s.ToMs, s.FromMs+p.xMax/200), p.xMax))
		fmt.Fprintf(&b, `<rect class="outage" x="%.1f" y="%g" width="%.1f" height="%g"><title>%s</title></rect>`, from, top, max(to-from, 1), height-top-bottom, html.EscapeString(s.What))
		fmt.Fprintf(&b, `<text class="outage" x="%.1f" y="%g">%s</text>`, from+3, top+10, html.EscapeString(s.What))
	}
	for _, y := range ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`, left, width-right, atY(y), atY(y), left-6, atY(y)+4, short(y))
	}
	for _, t := range p.xTicks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/><text class="x" x="%.1f" y="%g">%s</text>`, atX(t.at), atX(t.at), height-bottom, height-bottom+4, atX(t.at), height-bottom+18, html.EscapeString(t.text))
	}
	fmt.Fprintf(&b, `<path class="line" d="%s"/>`, p.path(atX, atY))
	for _, m := range p.marks {
		fmt.Fprintf(&b, `<circle class="mark" cx="%.1f" cy="%.1f" r="3"/><text class="mark" x="%.1f" y="%.1f">%s</text>`, atX(m.x), atY(m.y), atX(m.x)-5, atY(m.y)-7, html.EscapeString(m.text))
	}
	b.WriteString("</svg></figure>")
	return template.HTML(b.String())
}

func (p plot) path(atX, atY func(float64) float64) string {
	var b strings.Builder
	for i := range p.x {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "M%.1f %.1f", atX(p.x[i]), atY(p.y[i]))
		case p.steps:
			fmt.Fprintf(&b, "H%.1fV%.1f", atX(p.x[i]), atY(p.y[i]))
		default:
			fmt.Fprintf(&b, "L%.1f %.1f", atX(p.x[i]), atY(p.y[i]))
		}
	}
	if p.steps && len(p.x) > 0 {
		fmt.Fprintf(&b, "H%.1f", atX(p.xMax))
	}
	return b.String()
}

// nice returns round values from 0 to about the highest, so many or fewer.
func nice(highest float64, count int) []float64 {
	if highest <= 0 || math.IsInf(highest, 0) || math.IsNaN(highest) {
		return []float64{0}
	}
	step := math.Pow(10, math.Floor(math.Log10(highest/float64(count))))
	for _, factor := range []float64{1, 2, 5, 10} {
		if highest/(step*factor) <= float64(count) {
			step *= factor
			break
		}
	}
	var values []float64
	for i := range count + 1 {
		if value := float64(i) * step; value <= highest*1.0001 {
			values = append(values, value)
		}
	}
	return values
}

// short writes an axis value.
func short(value float64) string {
	switch {
	case value >= 1e6:
		return strconv.FormatFloat(value/1e6, 'g', 4, 64) + " M"
	case value >= 1e4:
		return strconv.FormatFloat(value/1e3, 'g', 4, 64) + " k"
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}
