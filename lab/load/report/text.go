package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/letswriteabook/realtime/lab/load"
)

// Text writes a result for a terminal.
func Text(w io.Writer, r load.Result) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "%s\t%s\n", r.Scenario, strings.ToUpper(string(r.Status)))
	if r.Status == load.Skipped {
		fmt.Fprintf(columns, "reason\t%s\n", r.Reason)
		return columns.Flush()
	}
	for _, check := range r.Checks {
		if check.OK {
			fmt.Fprintf(columns, "  ok\t%s\t%s\n", check.Name, check.Got)
		} else {
			fmt.Fprintf(columns, "  FAILED\t%s\twant %s, got %s\n", check.Name, check.Want, check.Got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(columns, "  %s\t%s\n", name, number(r.Figures[name]))
	}
	if r.Harness.Warning != "" {
		fmt.Fprintf(columns, "warning\t%s\n", r.Harness.Warning)
	}
	return columns.Flush()
}

// number writes a figure with as many digits as mean something.
func number(value float64) string {
	switch magnitude := max(value, -value); {
	case value == float64(int64(value)):
		return fmt.Sprintf("%.0f", value)
	case magnitude >= 100:
		return fmt.Sprintf("%.0f", value)
	case magnitude >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}
