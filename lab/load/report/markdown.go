package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

// Markdown returns a summary of a suite.
func Markdown(s suite.Summary, results []load.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Load test %s: %s\n\n", s.Label, s.Status)
	fmt.Fprintf(&b, "%s, %s; %d passed, %d failed, %d skipped.\n\n", s.StartedAt.Format(time.RFC3339), seconds(s.DurationMs), s.Passed, s.Failed, s.Skipped)
	for _, what := range slices.Sorted(maps.Keys(s.Machine)) {
		fmt.Fprintf(&b, "- %s: %s\n", what, s.Machine[what])
	}
	b.WriteString("\n| scenario | result | took | deliveries | lost | twice | out of order | p50 | p95 | p99 | max |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s |%s%s\n", r.Scenario, r.Status, seconds(r.DurationMs), deliveryCells(r), latencyCells(r))
	}
	for _, r := range results {
		scenarioMarkdown(&b, r)
	}
	return b.String()
}

func deliveryCells(r load.Result) string {
	if r.Delivery == nil {
		return " – | – | – | – |"
	}
	d := r.Delivery
	return fmt.Sprintf(" %d of %d | %d | %d | %d |", d.Received, d.Due, d.Lost, d.Duplicated, d.Reordered)
}

func latencyCells(r load.Result) string {
	if r.Latency == nil {
		return " – | – | – | – |"
	}
	l := r.Latency
	return fmt.Sprintf(" %s | %s | %s | %s ms |", number(l.P50), number(l.P95), number(l.P99), number(l.Max))
}

func scenarioMarkdown(b *strings.Builder, r load.Result) {
	fmt.Fprintf(b, "\n## %s: %s\n\n", r.Scenario, r.Status)
	if r.Status == load.Skipped {
		fmt.Fprintf(b, "%s.\n", r.Reason)
		return
	}
	for _, check := range r.Checks {
		mark := "ok"
		if !check.OK {
			mark = "**failed**"
		}
		fmt.Fprintf(b, "- %s: %s, want %s, got %s\n", mark, check.Name, cell(check.Want), cell(check.Got))
	}
	b.WriteString("\n| figure | value |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(b, "| %s | %s |\n", name, number(r.Figures[name]))
	}
	for _, outage := range r.Outages {
		fmt.Fprintf(b, "\nOutage: %s, from %s to %s.\n", outage.What, seconds(outage.FromMs), seconds(outage.ToMs))
	}
	fmt.Fprintf(b, "\n%s\n", harness(r))
	if r.Harness.Warning != "" {
		fmt.Fprintf(b, "\n**Warning:** %s.\n", r.Harness.Warning)
	}
}

// cell keeps text of a deployment in one line.
func cell(text string) string {
	return strings.NewReplacer("\n", " ", "|", `\|`).Replace(text)
}

func seconds(ms float64) string {
	return time.Duration(ms * float64(time.Millisecond)).Round(10 * time.Millisecond).String()
}
