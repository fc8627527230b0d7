package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var bar bytes.Buffer
	p := &Progress{out: &bar, terminal: true}
	p.Report("fill", 0, 10)
	p.Report("fill", 3, 10) // too soon to be drawn
	p.Report("fill", 10, 10)
	p.Report("copy", 5, 0)
	p.End()
	p.End()
	want := "\rfill [" + strings.Repeat(".", 30) + "]   0 %\rfill [" + strings.Repeat("#", 30) + "] 100 %\n\rcopy: 5\n"
	if bar.String() != want {
		t.Errorf("a terminal gets %q, want %q", bar.String(), want)
	}
	var lines bytes.Buffer
	p = &Progress{out: &lines}
	for done := range uint64(100) {
		p.Report("fill", done, 100)
	}
	p.Report("copy", 5, 0)
	p.End()
	if want := "fill: 0 of 100\ncopy: 5\n"; lines.String() != want {
		t.Errorf("a file gets %q, want %q", lines.String(), want)
	}
}
