package ingest

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"sync"
	"time"
)

// identities names events that carry no id, so that several gateways that receive one
// publish store it once, while two equal publishes remain two events.
//
// The name is "h:", a hash of the payload, and an ordinal among the identical payloads
// received recently. Redis delivers one channel in one order to every subscriber, and equal
// payloads belong to one job and therefore arrive in one order: gateways that have received
// the same payloads assign the same ordinals, and the log answers the second gateway with
// "duplicate".
//
// Gateways have not always received the same payloads. A gateway that has just subscribed
// counts from 0 although earlier publishes took 0, 1, 2…: then "duplicate" does not mean
// that this publish is stored. The sequence in the answer distinguishes the cases. The
// floor of a publish is the highest sequence known to belong to an earlier publish: the
// largest of
//
//   - the baseline: the log's head, read before the SUBSCRIBE through which the
//     publish came. What was stored by then was published before;
//   - the sequence of the last identical publish that this gateway has received;
//   - the sequences of identities that this gateway has forgotten.
//
// A duplicate at or below the floor is an earlier publish. The next ordinal is tried until
// the event is stored, or is a duplicate above the floor: such a duplicate is the same
// publish, stored by another gateway or by a first attempt whose answer was lost.
//
// A payload that was not received for twice the dedup window is forgotten: the log no
// longer has its ordinals, and counting starts again at 0. Beyond max payloads, the payload
// received longest ago is forgotten too. The log may still have its ordinals. They are
// below the floor by the third rule, so the next identical publish skips them, with one
// append for each, and is not mistaken for one of them.
//
// The log itself may start again, with sequences from 1. An event that is stored at or
// below the floor proves this, and all floors are dropped.
//
// In doubt an event is stored twice and never lost: if the same payload is published
// without an id repeatedly for longer than the dedup window, a gateway that starts
// meanwhile cannot determine how far the others have counted, and may store such publishes
// again. An id in the envelope avoids all of this.
type identities struct {
	keep time.Duration
	max  int

	mu sync.Mutex // guards the fields below
	// byHash and order hold the identities that are not taken, the most recently received
	// first.
	byHash map[payloadHash]*list.Element
	order  *list.List
	// forgotten is the highest sequence of an identity that was removed.
	forgotten uint64
}

// payloadHash is the first half of the payload's SHA-256: with 128 bits, accidental
// collisions do not occur.
type payloadHash [sha256.Size / 2]byte

// identity is the state of one payload. While it is taken it belongs to the write that took
// it.
type identity struct {
	hash payloadHash
	// next is the ordinal of the next publish.
	next uint64
	// floor is the sequence at or below which a duplicate is an earlier publish.
	floor uint64
	// seenAt is when the last publish was stored.
	seenAt time.Time
}

func newIdentities(dedupWindow time.Duration, limit int) *identities {
	return &identities{
		keep:   2 * dedupWindow,
		max:    limit,
		byHash: make(map[payloadHash]*list.Element),
		order:  list.New(),
	}
}

// take returns the identity of a payload for one publish. The caller must return it with
// put; until then no other publish of the same payload may take it.
func (s *identities) take(payload []byte, now time.Time) *identity {
	sum := sha256.Sum256(payload)
	hash := payloadHash(sum[:len(payloadHash{})])

	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetUnseen(now)
	id := &identity{hash: hash}
	if element, ok := s.byHash[hash]; ok {
		id = s.remove(element)
	}
	id.floor = max(id.floor, s.forgotten)
	return id
}

// put returns an identity whose last publish is stored at sequence; 0 if the publish was
// given up.
func (s *identities) put(id *identity, sequence uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence > 0 {
		id.floor = sequence
	}
	id.seenAt = now
	s.byHash[id.hash] = s.order.PushFront(id)
	s.forgetUnseen(now)
	for s.order.Len() > s.max {
		s.forget(s.order.Back())
	}
}

// restart clears all sequences, because the log has started again at 1.
func (s *identities) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.byHash)
	s.order.Init()
	s.forgotten = 0
}

// forgetUnseen removes the payloads whose ordinals the log has dropped. The caller holds
// s.mu.
func (s *identities) forgetUnseen(now time.Time) {
	for oldest := s.order.Back(); oldest != nil; oldest = s.order.Back() {
		if now.Sub(oldest.Value.(*identity).seenAt) < s.keep {
			return
		}
		s.forget(oldest)
	}
}

// forget removes an identity and raises forgotten to its floor. The caller holds s.mu.
func (s *identities) forget(element *list.Element) {
	s.forgotten = max(s.forgotten, s.remove(element).floor)
}

// remove removes an identity from the index. The caller holds s.mu.
func (s *identities) remove(element *list.Element) *identity {
	id := s.order.Remove(element).(*identity)
	delete(s.byHash, id.hash)
	return id
}

// messageID returns the message id of the next publish and counts the publish.
func (id *identity) messageID() string {
	ordinal := id.next
	id.next++
	return "h:" + hex.EncodeToString(id.hash[:]) + ":" + strconv.FormatUint(ordinal, 10)
}
