package hub

import (
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// A worker may write an event into MongoDB itself, beside publishing it. Its document
// has no sequence until it is adopted. A subscription may be shown the document as one of
// an older writer just before the event's record reaches the log, or while it is owed a
// look-up, the record just before the document. It gets the event once: what it is shown
// of either is kept for a while, and the other one is left out.

const (
	// youngAge is how long before it is read a document may have been made so that its
	// record may still come, and how long the document is kept in mind.
	youngAge = time.Minute
	// maxShown bounds the keys that one subscription keeps, of 32 bytes each. Beyond it
	// an event may be shown twice.
	maxShown = 256
)

// isYoung reports whether a document without a sequence was made lately.
func isYoung(record messaging.Record, now time.Time) bool {
	emitted, _ := time.Parse(time.RFC3339, record.EmittedAt) // the zero time is not young
	return now.Sub(emitted).Abs() < youngAge || now.Sub(record.StoredAt).Abs() < youngAge
}

// shown counts contents that a subscription was shown. The zero value is empty.
type shown struct {
	counts map[messaging.ContentKey]int
	until  time.Time
}

// add notes that an event was shown.
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

// take reports whether an event with the same content was shown, and forgets one.
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

// repeats reports whether the subscription was shown the event already, in its other
// form. The room's mutex is held.
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

// note keeps in mind what the subscription was shown, if the same event may still come
// in its other form. The room's mutex is held.
func (s *Subscription) note(ev *Event) {
	switch {
	case ev.Sequence == 0 && ev.young:
		s.documents.add(ev)
	case ev.Sequence > 0 && s.owed:
		s.records.add(ev)
	}
}
