package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Progress tells how a long command goes: a bar that is drawn over itself on a
// terminal, and a line every few seconds elsewhere. It is for one goroutine.
type Progress struct {
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

// NewProgress returns a progress that tells on standard error, so that output stays what was asked for.
func NewProgress() *Progress {
	return &Progress{out: os.Stderr, terminal: IsTerminal(os.Stderr)}
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Report is told how far a step is; total is 0 while that is not known.
func (p *Progress) Report(step string, done, total uint64) {
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

// End leaves the line of the bar. It may be called again.
func (p *Progress) End() {
	if p.terminal && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step = ""
}
