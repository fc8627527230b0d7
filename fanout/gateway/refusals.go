package gateway

import (
	"sync"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// refusalPause is how often a refusal with one code is written to the log. A
// storm of handshakes would otherwise fill it, at more cost than the refusals
// themselves; the metric counts each.
const refusalPause = time.Second

// refusals decides which refusals are logged. The zero value is ready to use, and it may be
// used concurrently.
type refusals struct {
	mu   sync.Mutex // guards last
	last map[messaging.Code]*spoken
}

// spoken records when a code was last logged, and how many refusals were not logged since.
type spoken struct {
	at     time.Time
	silent int
}

// note reports whether a refusal is to be logged now, and how many with its code were not
// logged since the last one.
func (r *refusals) note(code messaging.Code, now time.Time) (silent int, say bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := r.last[code]
	switch {
	case line == nil:
		if r.last == nil {
			r.last = make(map[messaging.Code]*spoken)
		}
		line = &spoken{}
		r.last[code] = line
	case now.Sub(line.at) < refusalPause:
		line.silent++
		return 0, false
	}
	silent, line.at, line.silent = line.silent, now, 0
	return silent, true
}
