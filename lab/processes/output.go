package processes

import (
	"strings"
	"sync"
)

// outputBytes bounds what is kept of a process's output.
const outputBytes = 64 << 10

// output keeps the end of the output of a process, over all its runs.
type output struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write adds output.
func (o *output) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, piece...)
	if surplus := len(o.text) - outputBytes; surplus > 0 {
		o.text = append(o.text[:0], o.text[surplus:]...)
	}
	return len(piece), nil
}

// String returns the kept output.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.ToValidUTF8(string(o.text), "?")
}
