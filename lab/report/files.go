package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Write writes report.json and report.md into a folder, which it creates.
func (r Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(encoded, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	var page bytes.Buffer
	r.Markdown(&page)
	if err := os.WriteFile(filepath.Join(dir, "report.md"), page.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// Markdown writes the page: the machine, the table, and the notes of each row. Errors of w
// are ignored; the caller checks w.
func (r Report) Markdown(w io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("# Fault run of %s\n", r.Began.UTC().Format(time.DateOnly))
	say("%s.\n", r.summary())
	say("| | |\n| --- | --- |")
	say("| command | `%s` |", r.Command)
	say("| began | %s |", r.Began.UTC().Format(time.RFC3339))
	for _, facts := range []map[string]string{r.Machine, r.Versions} {
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			say("| %s | %s |", cell(name), cell(facts[name]))
		}
	}
	say("\n| row | fault | status | lost | duplicated | reordered | phantom | recovery | took |")
	say("| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, row := range r.Rows {
		say("| %d | %s | %s | %s | %s |", row.Number, cell(row.Title), row.Status, figures(row, " | "), seconds(row.TookMillis))
	}
	say("\n## What each row noted")
	for _, row := range r.Rows {
		say("\n### %d. %s\n", row.Number, row.Title)
		if row.Reason != "" {
			say("- %s: %s", row.Status, cell(row.Reason))
		}
		if row.Status != Skipped {
			v := row.Verdict
			say("- attempted %d, acknowledged %d, unanswered %d, stored %d, projected %d; delivered %d to %d clients",
				v.Attempted, v.Acknowledged, v.Unanswered, v.Stored, v.Projected, v.Delivered, v.Clients)
		}
		if row.Shortened != "" {
			say("- shortened: %s", cell(row.Shortened))
		}
		for _, m := range row.Measures {
			say("- %s: %s", cell(m.Name), m.value())
		}
		for _, note := range append(slices.Clone(row.Notes), row.Verdict.Examples...) {
			say("- %s", cell(note))
		}
	}
}

// cell escapes a text for one cell of a table, or one line of a list.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ").Replace(text)
}
