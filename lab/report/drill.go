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
	"strconv"
	"strings"
	"time"
)

// Drill is the result of one recovery drill.
type Drill struct {
	Name string `json:"name"`
	// Does describes what happens, in a sentence or two.
	Does string `json:"does"`
	// Target describes the system of the drill.
	Target string `json:"target"`
	// Command is the command line.
	Command string    `json:"command"`
	Began   time.Time `json:"began"`
	// Machine and Versions say where it ran, by name.
	Machine  map[string]string `json:"machine"`
	Versions map[string]string `json:"versions"`
	Result   Result            `json:"result"`
}

// Write writes report.json, report.md and report.html into a folder, which it creates.
func (d Drill) Write(dir string) error {
	encoded, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	var text, page bytes.Buffer
	d.Markdown(&text)
	if err := d.HTML(&page); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for name, content := range map[string][]byte{"report.json": append(encoded, '\n'), "report.md": text.Bytes(), "report.html": page.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

// Markdown writes the report as text. Errors of w are ignored; the caller checks w.
func (d Drill) Markdown(w io.Writer) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	say("# Drill %s: %s\n", d.Name, d.Result.Status)
	say("%s\n", d.Does)
	if d.Result.Reason != "" {
		say("**%s**: %s\n", d.Result.Status, cell(d.Result.Reason))
	}
	say("| | |\n| --- | --- |")
	for _, fact := range d.facts() {
		say("| %s | %s |", cell(fact.Name), cell(fact.Value))
	}
	for _, section := range d.sections() {
		say("\n## %s\n", section.Title)
		for _, line := range section.Lines {
			say("- %s", cell(line))
		}
	}
	if t := d.Result.Timeline; t != nil {
		say("\n## When\n\nSeconds from the first event of the drill on; `report.html` has the plot.\n")
		for _, w := range t.Windows {
			say("- %s to %s: %s", seconds(w.FromMillis), seconds(w.ToMillis), cell(w.Label))
		}
		for _, m := range t.Marks {
			say("- %s: %s", seconds(m.AtMillis), cell(m.Label))
		}
	}
}

// fact is one row of the table at the top.
type fact struct{ Name, Value string }

func (d Drill) facts() []fact {
	v := d.Result.Verdict
	facts := []fact{
		{"system", d.Target},
		{"command", d.Command},
		{"began", d.Began.UTC().Format(time.RFC3339)},
		{"took", seconds(d.Result.TookMillis)},
		{"recovery", recovery(d.Result)},
		{"verdict", v.String()},
		{"attempted, acknowledged, unanswered", fmt.Sprintf("%d, %d, %d", v.Attempted, v.Acknowledged, v.Unanswered)},
		{"stored, projected", fmt.Sprintf("%d, %d", v.Stored, v.Projected)},
		{"delivered", fmt.Sprintf("%d to %d clients", v.Delivered, v.Clients)},
	}
	for _, more := range []map[string]string{d.Machine, d.Versions} {
		for _, name := range slices.Sorted(maps.Keys(more)) {
			facts = append(facts, fact{name, more[name]})
		}
	}
	return facts
}

// section is a list of the report.
type section struct {
	Title string
	Lines []string
}

// sections returns the lists that are not empty.
func (d Drill) sections() []section {
	checks, figures := section{Title: "Made sure of before"}, section{Title: "Measured"}
	for _, c := range d.Result.Checks {
		state := "good"
		if !c.OK {
			state = "NOT GOOD"
		}
		checks.Lines = append(checks.Lines, fmt.Sprintf("%s: %s (%s)", c.Name, c.Detail, state))
	}
	for _, m := range d.Result.Measures {
		figures.Lines = append(figures.Lines, m.Name+": "+m.value())
	}
	notes := section{Title: "Noted", Lines: slices.Clone(d.Result.Notes)}
	if d.Result.Shortened != "" {
		notes.Lines = append(notes.Lines, "shortened: "+d.Result.Shortened)
	}
	wrong := section{Title: "What is wrong", Lines: d.Result.Verdict.Examples}
	return slices.DeleteFunc([]section{checks, figures, notes, wrong}, func(s section) bool { return len(s.Lines) == 0 })
}

// value returns the figure with its unit.
func (m Measure) value() string {
	return strings.TrimSpace(strconv.FormatFloat(m.Value, 'f', -1, 64) + " " + m.Unit)
}
