package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Progress shows the progress of a long command: a bar that is redrawn on a terminal, and a
// line every few seconds elsewhere. It must be used by one goroutine.
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

// NewProgress returns a Progress that writes to standard error.
func NewProgress() *Progress {
	return &Progress{out: os.Stderr, terminal: IsTerminal(os.Stderr)}
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Report reports the progress of a step; total is 0 while it is unknown.
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

// End ends the line of the bar. It may be called more than once.
func (p *Progress) End() {
	if p.terminal && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step = ""
}
