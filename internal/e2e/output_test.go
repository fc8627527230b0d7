package e2e_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// outputBytes bounds what is kept of a program's output.
const outputBytes = 1 << 20

// output collects what a program writes and finds where it listens.
type output struct {
	listening chan string // capacity 1: one address in a life

	mu       sync.Mutex // guards the fields below
	text     []byte     // what was written last
	partial  []byte     // a line whose end has not come yet
	dataRace bool
}

// Write takes a piece of output; os/exec calls it from one goroutine.
func (o *output) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, piece...)
	if surplus := len(o.text) - outputBytes; surplus > 0 {
		o.text = append(o.text[:0], o.text[surplus:]...)
	}
	o.partial = append(o.partial, piece...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(piece), nil
		}
		o.line(line)
		o.partial = append(o.partial[:0], rest...)
	}
}

// line looks at one whole line.
func (o *output) line(line []byte) {
	if bytes.Contains(line, []byte("WARNING: DATA RACE")) {
		o.dataRace = true
	}
	var entry struct{ Msg, Addr string }
	if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" && entry.Addr != "" {
		select {
		case o.listening <- entry.Addr:
		default:
		}
	}
}

func (o *output) raced() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dataRace
}

// lines returns what is kept of the output, line by line.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Split(strings.TrimSuffix(string(o.text), "\n"), "\n")
}

// tail returns the end of the output, enough to see what went wrong.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	const enough = 8 << 10
	return strings.ToValidUTF8(string(o.text[max(0, len(o.text)-enough):]), "?")
}

// find returns the first group of the expression in the output so far.
func (o *output) find(expression *regexp.Regexp) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := expression.FindSubmatch(o.text)
	if found == nil {
		return "", false
	}
	return string(found[1]), true
}
