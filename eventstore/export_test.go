package eventstore

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The parts of the package that only its tests reach from outside.
var (
	Shown  = shown
	TooOld = tooOld
	// ErrStalled is what reading from a consumer that has fallen silent ends with.
	ErrStalled = errStalled
)

// MakeLetterRoom measures the dead letters, as storing one does from time to time.
func (l *Log) MakeLetterRoom(ctx context.Context) error { return l.makeLetterRoom(ctx) }

// SetFailing pretends that appends have failed since a time, the last one just now.
func SetFailing(l *Log, since time.Time) {
	l.writing.mu.Lock()
	defer l.writing.mu.Unlock()
	l.writing.failingSince, l.writing.failedLast = since, time.Now()
}

// WrapJetStream puts something in front of what the log publishes with. It is called
// before the log is used by others.
func (l *Log) WrapJetStream(wrap func(jetstream.JetStream) jetstream.JetStream) {
	l.client.JS = wrap(l.client.JS)
}

// ShortenQueues gives each queue of a tail that does not run yet room for so many
// records.
func ShortenQueues(t *Tail, records int) {
	for i := range t.shards {
		t.shards[i] = make(chan *nats.Msg, records)
	}
}

// ScrubRenewing is [Log.Scrub], beginning with a pass, with another time between two
// renewals of its lease.
func ScrubRenewing(ctx context.Context, l *Log, renewal time.Duration) error {
	return l.scrub(ctx, true, renewal)
}

// ScrubDue reports whether a pass has to follow another one.
func ScrubDue(last Scrubbed, epoch string, now time.Time) bool { return last.due(epoch, now) }

// Hold returns what keeps a consumer from handing on records.
func (c *Consumption) Hold(info *jetstream.ConsumerInfo) string {
	held, _ := c.hold(info)
	return held
}
