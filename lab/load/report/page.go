package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	Summary  suite.Summary
	Began    string
	Took     string
	Machine  []pair
	Sections []section
}

// section is one scenario of the page.
type section struct {
	Result   load.Result
	Took     string
	Delivery string
	Figures  []pair
	Plots    []template.HTML
	Harness  string
}

type pair struct{ Name, Value string }

// HTML returns the page of a suite: one file, without anything from elsewhere.
func HTML(s suite.Summary, results []load.Result) (string, error) {
	p := page{Summary: s, Began: s.StartedAt.Format(time.RFC3339), Took: seconds(s.DurationMs)}
	for _, name := range slices.Sorted(maps.Keys(s.Machine)) {
		p.Machine = append(p.Machine, pair{name, s.Machine[name]})
	}
	for _, r := range results {
		one := section{Result: r, Took: seconds(r.DurationMs), Plots: plots(r), Harness: harness(r)}
		if r.Delivery != nil {
			one.Delivery = fmt.Sprintf("%d of %d", r.Delivery.Received, r.Delivery.Due)
		}
		for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
			one.Figures = append(one.Figures, pair{name, number(r.Figures[name])})
		}
		p.Sections = append(p.Sections, one)
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, p); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return b.String(), nil
}

func harness(r load.Result) string {
	h := r.Harness
	return fmt.Sprintf("The harness took %.0f %% of %d processors and %.0f MiB at most; its timers were late by %s ms (p99).",
		100*h.Share, h.Cores, float64(h.PeakBytes)/(1<<20), number(h.WakeP99))
}
