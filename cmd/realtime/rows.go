package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// rowsPage is how many rows of a table are kept at once to compute the widths of its
// columns.
const rowsPage = 1000

// rows writes a list while it is read, as a table or as a JSON array. Its memory is
// bounded, however long the list is.
type rows struct {
	out     io.Writer
	columns *tabwriter.Writer // nil for JSON
	count   int
}

func newRows(out io.Writer, output, head string) *rows {
	r := &rows{out: out}
	if output != "json" {
		r.columns = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(r.columns, head)
	}
	return r
}

// add writes one value. In a table it is formatted by format, with tabs between the
// columns.
func (r *rows) add(value any, format string, cells ...any) error {
	r.count++
	if r.columns != nil {
		if _, err := fmt.Fprintf(r.columns, format+"\n", cells...); err != nil || r.count%rowsPage > 0 {
			return err
		}
		return r.columns.Flush()
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("  ", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	separator := ",\n  "
	if r.count == 1 {
		separator = "[\n  "
	}
	_, err := fmt.Fprintf(r.out, "%s%s", separator, bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}

// end writes the end of the list. After an error it completes the rows written so far.
func (r *rows) end() error {
	if r.columns != nil {
		return r.columns.Flush()
	}
	text := "\n]\n"
	if r.count == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(r.out, text)
	return err
}
