package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"text/tabwriter"
)

// Difference is one value of two pages.
type Difference struct {
	// Key is the path to it, such as connectionsPerOrigin.https://example.org.
	Key    string `json:"key"`
	Base   any    `json:"base"`
	Target any    `json:"target"`
	// Change is the target less the base, where both are numbers.
	Change  *float64 `json:"change,omitempty"`
	Changed bool     `json:"changed"`
}

// Load reads a page that a suite has kept.
func Load(path string) (Page, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Page{}, fmt.Errorf("metrics: %w", err)
	}
	var page Page
	if err := json.Unmarshal(text, &page); err != nil {
		return Page{}, fmt.Errorf("metrics %s: %w", path, err)
	}
	return page, nil
}

// Compare returns the values of two pages by key, what changed or, with all, every
// one. A count that a page does not have is 0 there: a job without followers.
func Compare(base, target Page, all bool) []Difference {
	before, after := map[string]any{}, map[string]any{}
	flatten(before, "", base.raw)
	flatten(after, "", target.raw)
	keys := map[string]bool{}
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	differences := []Difference{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		d := Difference{Key: key, Base: before[key], Target: after[key]}
		d.Changed = !reflect.DeepEqual(d.Base, d.Target)
		if a, b, numbers := numbers(d.Base, d.Target); numbers {
			change := b - a
			d.Change = &change
		}
		if d.Changed || all {
			differences = append(differences, d)
		}
	}
	return differences
}

// flatten names every leaf by its path.
func flatten(into map[string]any, path string, value any) {
	object, is := value.(map[string]any)
	if !is {
		into[path] = value
		return
	}
	for key, inner := range object {
		if path != "" {
			key = path + "." + key
		}
		flatten(into, key, inner)
	}
}

func numbers(base, target any) (a, b float64, both bool) {
	a, isA := base.(float64)
	b, isB := target.(float64)
	return a, b, (isA || base == nil) && (isB || target == nil)
}

// Print writes differences as a table.
func Print(w io.Writer, differences []Difference) error {
	if len(differences) == 0 {
		_, err := fmt.Fprintln(w, "nothing changed")
		return err
	}
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "KEY\tBASE\tTARGET\tCHANGE")
	for _, d := range differences {
		changed := ""
		if d.Change != nil {
			changed = change(*d.Change)
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", d.Key, shown(d.Base), shown(d.Target), changed)
	}
	return columns.Flush()
}

func shown(value any) string {
	switch value := value.(type) {
	case nil:
		return "–"
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

func change(by float64) string {
	text := strconv.FormatFloat(by, 'f', -1, 64)
	if by >= 0 {
		text = "+" + text
	}
	return text
}
