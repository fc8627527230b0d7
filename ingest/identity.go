package ingest

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"sync"
	"time"
)

// identities names events that carry no id, so that several gateways that receive
// one publish store it once, while two equal publishes stay two events.
//
// The name is "h:", a hash of the payload, and an ordinal among the identical
// payloads lately received. Redis delivers one channel in one order to every
// subscriber, and equal payloads are of one job and so in one order: gateways
// that have received the same count the same, and the log answers the second of
// them with "duplicate".
//
// They have not always received the same. A gateway that has just subscribed
// counts from 0 although earlier publishes took 0, 1, 2…: "duplicate" then does
// not mean that this publish is stored. The sequence in the answer tells the
// two apart. The floor of a publish is the highest sequence known to be
// that of an earlier one, which is the largest of
//
//   - the baseline: the log's head, read before the SUBSCRIBE through which the
//     publish came. What was stored by then was published before;
//   - the sequence of the last identical publish that this gateway has received;
//   - the sequences of identities that this gateway has forgotten.
//
// A duplicate at or below the floor is an earlier publish: the next ordinal is
// tried, until the event is stored, or is a duplicate above the floor. That one
// is the same publish, stored by another gateway or by a first attempt whose
// answer was lost.
//
// A payload is forgotten when it was not received for twice the dedup window: the
// log no longer knows its ordinals, and counting starts again at 0. It is also
// forgotten, the one not received for longest first, beyond max payloads. The log may
// then still know its ordinals; because they are below the floor by the third
// rule, the next identical publish walks past them, one append for each, and is
// not mistaken for one of them.
//
// The log itself may begin again, with sequences from 1. An event that is stored
// at or below the floor proves it, and all floors are dropped.
//
// Whatever remains uncertain errs towards storing twice, never towards losing:
// if the same payload is published without an id again and again, for longer
// than the dedup window, a gateway that starts meanwhile cannot learn how far
// the others have counted, and such publishes may be stored by it as well.
// An id in the envelope removes all of this.
type identities struct {
	keep time.Duration
	max  int

	mu sync.Mutex // guards the fields below
	// byHash and order hold what is not in use, most recently received first.
	byHash map[payloadHash]*list.Element
	order  *list.List
	// forgotten is the highest sequence of an identity that was removed.
	forgotten uint64
}

// payloadHash is the first half of the payload's SHA-256: 128 bits, so that two
// payloads meet by accident never.
type payloadHash [sha256.Size / 2]byte

// identity is what is known of one payload. While it is taken it belongs to the
// write that took it.
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

// take returns the identity of a payload for one publish; it must be given back
// with put. Until then no other publish of the same payload may take it.
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

// put gives an identity back whose last publish is stored at sequence; 0 when
// it was given up.
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

// restart forgets all sequences, because the log starts again at 1.
func (s *identities) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.byHash)
	s.order.Init()
	s.forgotten = 0
}

// forgetUnseen removes what was not received for so long that the log has
// forgotten it, too; s.mu is held.
func (s *identities) forgetUnseen(now time.Time) {
	for oldest := s.order.Back(); oldest != nil; oldest = s.order.Back() {
		if now.Sub(oldest.Value.(*identity).seenAt) < s.keep {
			return
		}
		s.forget(oldest)
	}
}

// forget removes an identity for good; s.mu is held.
func (s *identities) forget(element *list.Element) {
	s.forgotten = max(s.forgotten, s.remove(element).floor)
}

// remove takes an identity out of the index; s.mu is held.
func (s *identities) remove(element *list.Element) *identity {
	id := s.order.Remove(element).(*identity)
	delete(s.byHash, id.hash)
	return id
}

// messageID returns the name of the next publish and counts it.
func (id *identity) messageID() string {
	ordinal := id.next
	id.next++
	return "h:" + hex.EncodeToString(id.hash[:]) + ":" + strconv.FormatUint(ordinal, 10)
}
