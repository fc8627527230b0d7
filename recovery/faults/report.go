package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/letswriteabook/realtime/recovery/lab"
)

// Report is the results of one fault run and what they were got with.
type Report struct {
	Command  string            `json:"command"`
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Began    time.Time         `json:"began"`
	Ended    time.Time         `json:"ended"`
	Results  []Result          `json:"results"`
}

// NewReport begins a report.
func NewReport(ctx context.Context, programs lab.Programs, command string) *Report {
	return &Report{
		Command: command, Versions: programs.Versions(ctx), Began: time.Now().UTC(),
		Machine: fmt.Sprintf("%s/%s, %d cores, everything on loopback", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}
}

// Add adds the result of a row.
func (r *Report) Add(result Result) { r.Results = append(r.Results, result) }

// Failed reports whether a row failed.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Results, func(result Result) bool { return result.Status == Failed })
}

// String returns the result in a line.
func (r Result) String() string {
	line := fmt.Sprintf("row %d %s: %v; recovery %s; took %s", r.Number, r.Status, r.Verdict, millis(r.RecoveryMillis), millis(r.TookMillis))
	if r.Reason != "" {
		line += "\n  " + r.Reason
	}
	return line
}

// Table returns the results for a terminal.
func (r *Report) Table() string { return r.table().Render() + "\n" }

func (r *Report) table() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"#", "fault", "status", "lost", "duplicated", "reordered", "phantom", "acknowledged", "delivered", "recovery", "limit"})
	for _, result := range r.Results {
		v := result.Verdict
		if result.Status == Skipped {
			t.AppendRow(table.Row{result.Number, result.Title, "skipped: " + result.Reason, "", "", "", "", "", "", "", ""})
			continue
		}
		t.AppendRow(table.Row{
			result.Number, result.Title, result.Status, v.Lost, v.Duplicated, v.Reordered, v.Phantom, v.Acknowledged, v.Delivered,
			millis(result.RecoveryMillis), millis(result.LimitMillis),
		})
	}
	return t
}

// Markdown returns the report as a page.
func (r *Report) Markdown() string {
	var page strings.Builder
	fmt.Fprintf(&page, "# Fault run of %s\n\n", r.Began.Format(time.DateOnly))
	fmt.Fprintf(&page, "- Command: `%s`\n- Machine: %s\n- Duration: %s\n", r.Command, r.Machine, r.Ended.Sub(r.Began).Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&page, "- %s: `%s`\n", name, r.Versions[name])
	}
	fmt.Fprintf(&page, "\n%s\n", r.table().RenderMarkdown())
	for _, result := range r.Results {
		fmt.Fprintf(&page, "\n## Row %d: %s\n\n%s, %s.", result.Number, result.Title, result.Status, millis(result.TookMillis))
		if result.Reason != "" {
			fmt.Fprintf(&page, " %s", result.Reason)
		}
		page.WriteString("\n\n")
		if result.Shortened != "" {
			fmt.Fprintf(&page, "- shortened: %s\n", result.Shortened)
		}
		for _, note := range result.Notes {
			fmt.Fprintf(&page, "- %s\n", note)
		}
		for _, m := range result.Measures {
			fmt.Fprintf(&page, "- %s: %s\n", m.Name, strings.TrimSpace(fmt.Sprintf("%.6g %s", m.Value, m.Unit)))
		}
	}
	return page.String()
}

// Write writes report.json and report.md into a folder.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for name, content := range map[string][]byte{"report.json": append(text, '\n'), "report.md": []byte(r.Markdown())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

func millis(n int64) string {
	if n == 0 {
		return "–"
	}
	return (time.Duration(n) * time.Millisecond).String()
}
