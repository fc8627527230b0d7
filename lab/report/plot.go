package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The plot's size and margins, in units of the SVG.
const (
	plotWidth, plotHeight = 960.0, 340.0
	plotLeft, plotRight   = 60.0, 16.0
	plotTop, plotBottom   = 40.0, 44.0
)

// clipAbove is the ratio of the axis's end to the usual rate: a catch-up of all events in
// one second must not flatten the rest of the plot.
const clipAbove = 12

// plot is a timeline as the page draws it.
type plot struct {
	Width, Height            float64
	Left, Right, Top, Bottom float64 // the edges of the field
	Series                   []series
	Windows                  []span
	Marks                    []tick
	XTicks, YTicks           []tick
	Steps                    []step
}

type series struct {
	Class, Name, Points string
	// Peak is the rate at which the line is cut off; empty if it is not.
	Peak         string
	PeakX, PeakY float64
}

type span struct {
	Label    string
	X, Width float64
	// NameX and NameY are the position of the label, and Anchor is the end of the label at
	// that position.
	NameX, NameY float64
	Anchor       string
}

type tick struct {
	Label string
	At    float64
	// Row separates labels that would overlap; Anchor is the end of the label at its
	// position.
	Row    float64
	Anchor string
}

// step is the invisible column that shows the figures of a step.
type step struct {
	X, Width float64
	Told     string
}

// draw computes the layout of the timeline.
func (t Timeline) draw() plot {
	p := plot{
		Width: plotWidth, Height: plotHeight,
		Left: plotLeft, Right: plotWidth - plotRight, Top: plotTop, Bottom: plotHeight - plotBottom,
	}
	steps := len(t.Attempted)
	total := float64(steps) * float64(t.StepMillis)
	if steps == 0 || total <= 0 {
		return p
	}
	x := func(millis float64) float64 { return p.Left + (p.Right-p.Left)*min(1, max(0, millis/total)) }
	top, tickY := axis(t.ceiling(), 4)
	y := func(rate float64) float64 { return p.Bottom - (p.Bottom-p.Top)*min(1, rate/top) }
	for _, s := range []struct {
		class, name string
		counts      []int
	}{
		{"attempted", "published", t.Attempted},
		{"acknowledged", "acknowledged", t.Acknowledged},
		{"delivered", "delivered to the client “" + t.Client + "”", t.Delivered},
	} {
		line := series{Class: s.class, Name: s.name}
		var points []string
		peak := 0.0
		for i, count := range s.counts {
			at, rate := x((float64(i)+0.5)*float64(t.StepMillis)), t.rate(count)
			points = append(points, fmt.Sprintf("%.1f,%.1f", at, y(rate)))
			if rate > top && rate > peak {
				peak = rate
				line.Peak, line.PeakX, line.PeakY = fmt.Sprintf("%.0f/s", rate), at, p.Top
			}
		}
		line.Points = strings.Join(points, " ")
		p.Series = append(p.Series, line)
	}
	for i, w := range t.Windows {
		from, to := x(float64(w.FromMillis)), x(float64(w.ToMillis))
		s := span{Label: w.Label, X: from, Width: max(2, to-from), NameX: from, Anchor: anchor(from), NameY: p.Top - 6 - 14*float64(i%2)}
		if s.Anchor == "end" {
			s.NameX = to
		}
		p.Windows = append(p.Windows, s)
	}
	for i, m := range t.Marks {
		at := x(float64(m.AtMillis))
		p.Marks = append(p.Marks, tick{Label: m.Label, At: at, Anchor: anchor(at), Row: p.Top + 14 + 13*float64(i%4)})
	}
	for at := 0.0; at <= top*1.0001; at += tickY {
		p.YTicks = append(p.YTicks, tick{Label: strconv.FormatFloat(at, 'f', -1, 64), At: y(at)})
	}
	_, tickX := axis(total/1000, 8)
	for at := 0.0; at <= total/1000; at += tickX {
		p.XTicks = append(p.XTicks, tick{Label: strconv.FormatFloat(at, 'f', -1, 64) + " s", At: x(at * 1000)})
	}
	for i := range steps {
		from := x(float64(i) * float64(t.StepMillis))
		p.Steps = append(p.Steps, step{
			X: from, Width: x(float64(i+1)*float64(t.StepMillis)) - from,
			Told: fmt.Sprintf("%d s: %.0f/s published, %.0f/s acknowledged, %.0f/s delivered",
				int64(i)*t.StepMillis/1000, t.rate(t.Attempted[i]), t.rate(at(t.Acknowledged, i)), t.rate(at(t.Delivered, i))),
		})
	}
	return p
}

// anchor keeps a label inside the plot.
func anchor(x float64) string {
	if x > plotWidth*2/3 {
		return "end"
	}
	return "start"
}

func at(counts []int, i int) int {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}

// rate converts a count of one step to events per second.
func (t Timeline) rate(count int) float64 { return float64(count) * 1000 / float64(t.StepMillis) }

// ceiling returns the highest rate that the axis must show.
func (t Timeline) ceiling() float64 {
	most := 1
	var usual []int
	for _, counts := range [][]int{t.Attempted, t.Acknowledged, t.Delivered} {
		if len(counts) > 0 {
			most = max(most, slices.Max(counts))
		}
	}
	for _, count := range t.Attempted {
		if count > 0 {
			usual = append(usual, count)
		}
	}
	if len(usual) > 0 {
		slices.Sort(usual)
		most = min(most, clipAbove*usual[len(usual)/2])
	}
	return t.rate(most)
}

// axis returns a round end for an axis that must reach most, and the distance of about
// ticks ticks on it.
func axis(most float64, ticks int) (end, distance float64) {
	raw := most / float64(ticks)
	magnitude := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, factor := range []float64{1, 2, 5, 10} {
		distance = factor * magnitude
		if distance >= raw {
			break
		}
	}
	return math.Ceil(most/distance) * distance, distance
}

// FieldHeight is the height of the field.
func (p plot) FieldHeight() float64 { return p.Bottom - p.Top }

// BelowField and BesideField are the positions of the labels of the axes.
func (p plot) BelowField() float64  { return p.Bottom + 18 }
func (p plot) BesideField() float64 { return p.Left - 8 }

// Shift moves a label away from its line.
func (t tick) Shift() int {
	if t.Anchor == "end" {
		return -4
	}
	return 4
}
