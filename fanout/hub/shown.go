package hub

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// A worker may write an event into MongoDB itself, beside publishing it. Its document has
// no sequence until it is adopted. A client may be shown the document, as one of an older
// writer, just before the event's record reaches the log; or, while its subscription awaits
// a look-up, the record just before the document. So that the client receives the event
// once, the subscription keeps the content keys of what it has shown for a while, and omits
// the same event in the other form.

const (
	// youngAge is the greatest age of a document whose record may not have been stored
	// yet, and how long the content of such a document is kept.
	youngAge = time.Minute
	// maxShown bounds the keys that one subscription keeps, of 32 bytes each. Beyond it
	// an event may be shown twice.
	maxShown = 256
)

// isYoung reports whether a document without a sequence is younger than youngAge.
func isYoung(record messaging.Record, now time.Time) bool {
	return now.Sub(emittedTime(record)).Abs() < youngAge || now.Sub(record.StoredAt).Abs() < youngAge
}

// shown counts the contents that a client was shown. The zero value is empty.
type shown struct {
	counts map[messaging.ContentKey]int
	until  time.Time
}

// add counts an event that was shown.
func (s *shown) add(ev *Event) {
	key, ok := ev.content()
	if !ok || len(s.counts) >= maxShown {
		return
	}
	if s.counts == nil {
		s.counts = make(map[messaging.ContentKey]int)
	}
	s.counts[key]++
	s.until = time.Now().Add(youngAge)
}

// take reports whether an event with the same content was shown, and uncounts one.
func (s *shown) take(ev *Event) bool {
	if len(s.counts) == 0 {
		return false
	}
	if time.Now().After(s.until) {
		s.counts = nil
		return false
	}
	key, ok := ev.content()
	if !ok || s.counts[key] == 0 {
		return false
	}
	if s.counts[key]--; s.counts[key] == 0 {
		delete(s.counts, key)
	}
	return true
}

// repeats reports whether the client was shown the event in its other form. The room's
// mutex is held.
func (s *Subscription) repeats(ev *Event) bool {
	before := &s.documents
	if ev.Sequence == 0 {
		before = &s.records
	}
	if ev.Sequence == 0 && !ev.young || !before.take(ev) {
		return false
	}
	if s.state != stateLive && !s.caught {
		s.catchUp.replayed-- // it was counted with its page
	}
	return true
}

// note counts an event that was shown, if it may follow in its other form. The room's
// mutex is held.
func (s *Subscription) note(ev *Event) {
	switch {
	case ev.Sequence == 0 && ev.young:
		s.documents.add(ev)
	case ev.Sequence > 0 && s.awaitsLookUp:
		s.records.add(ev)
	}
}
