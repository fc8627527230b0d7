package eventstore

import (
	"context"
	"time"
)

// The parts of the package that only its tests reach from outside.
var (
	Escape   = escape
	Unescape = unescape
	OneLine  = oneLine
	Redact   = redact
)

// MessageID is the reader of a stored message id.
var MessageID = messageID

// Probes counts the requests that a search for the start of a page makes.
func Probes(ctx context.Context, l *Log, jobID string, limit int) (start uint64, took time.Duration, err error) {
	subject, err := eventSubject(jobID)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	_, found, err := l.search(ctx, subject, 1<<62, uint64(limit))
	return found.sequence, time.Since(began), err
}
