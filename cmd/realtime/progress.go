package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress tells how a long command goes: a bar that is drawn over itself on a
// terminal, and a line every few seconds elsewhere. It is for one goroutine.
type progress struct {
	out      io.Writer
	terminal bool
	step     string
	drawn    time.Time
}

const (
	barWidth     = 30
	drawInterval = 100 * time.Millisecond
	lineInterval = 5 * time.Second
)

// newProgress tells on standard error, so that output stays what was asked for.
func newProgress() *progress {
	return &progress{out: os.Stderr, terminal: isTerminal(os.Stderr)}
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// report is told how far a step is; total is 0 while that is not known.
func (p *progress) report(step string, done, total uint64) {
	interval := lineInterval
	if p.terminal {
		interval = drawInterval
	}
	if step == p.step && time.Since(p.drawn) < interval && (!p.terminal || done != total) {
		return
	}
	if p.terminal && step != p.step && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step, p.drawn = step, time.Now()
	switch {
	case !p.terminal && total > 0:
		fmt.Fprintf(p.out, "%s: %d of %d\n", step, done, total)
	case !p.terminal:
		fmt.Fprintf(p.out, "%s: %d\n", step, done)
	case total > 0:
		full := int(min(done, total) * barWidth / total)
		fmt.Fprintf(p.out, "\r%s [%s%s] %3d %%", step, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), min(done, total)*100/total)
	default:
		fmt.Fprintf(p.out, "\r%s: %d", step, done)
	}
}

// end leaves the line of the bar. It may be called again.
func (p *progress) end() {
	if p.terminal && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step = ""
}
