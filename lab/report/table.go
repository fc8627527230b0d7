package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Table writes one line for each row, and a summary, for a terminal.
func (r Report) Table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "row\tfault\tstatus\tlost\tduplicated\treordered\tphantom\trecovery\ttook") // kept until Flush
	for _, row := range r.Rows {
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", row.Number, row.Title, row.Status, figures(row, "\t"), seconds(row.TookMillis))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	for _, row := range r.Rows {
		if row.Reason != "" {
			if _, err := fmt.Fprintf(w, "row %d %s: %s\n", row.Number, row.Status, row.Reason); err != nil {
				return fmt.Errorf("write the table: %w", err)
			}
		}
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

func (r Report) summary() string {
	return fmt.Sprintf("%d rows: %d passed, %d failed, %d skipped", len(r.Rows), r.Count(Passed), r.Count(Failed), r.Count(Skipped))
}

// figures returns the four figures and the recovery; a skipped row has none.
func figures(row Result, separator string) string {
	if row.Status == Skipped {
		return "–" + separator + "–" + separator + "–" + separator + "–" + separator + "–"
	}
	v := row.Verdict
	return fmt.Sprintf("%d%s%d%s%d%s%d%s%s", v.Lost, separator, v.Duplicated, separator, v.Reordered, separator, v.Phantom, separator, recovery(row))
}

// recovery returns how long the recovery took, and how long it may take.
func recovery(row Result) string {
	if row.RecoveryMillis == 0 {
		return "–"
	}
	if row.LimitMillis == 0 {
		return seconds(row.RecoveryMillis)
	}
	return seconds(row.RecoveryMillis) + " ≤ " + seconds(row.LimitMillis)
}

func seconds(millis int64) string {
	return fmt.Sprintf("%.1f s", (time.Duration(millis) * time.Millisecond).Seconds())
}
