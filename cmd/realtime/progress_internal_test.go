package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var bar bytes.Buffer
	p := &progress{out: &bar, terminal: true}
	p.report("fill", 0, 10)
	p.report("fill", 3, 10) // too soon to be drawn
	p.report("fill", 10, 10)
	p.report("copy", 5, 0)
	p.end()
	p.end()
	want := "\rfill [" + strings.Repeat(".", 30) + "]   0 %\rfill [" + strings.Repeat("#", 30) + "] 100 %\n\rcopy: 5\n"
	if bar.String() != want {
		t.Errorf("a terminal gets %q, want %q", bar.String(), want)
	}
	var lines bytes.Buffer
	p = &progress{out: &lines}
	for done := range uint64(100) {
		p.report("fill", done, 100)
	}
	p.report("copy", 5, 0)
	p.end()
	if want := "fill: 0 of 100\ncopy: 5\n"; lines.String() != want {
		t.Errorf("a file gets %q, want %q", lines.String(), want)
	}
}
