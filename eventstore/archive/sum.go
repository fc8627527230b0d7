package archive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/internal/wait"
)

// Sum is what can be read from a stream, up to one of its sequences.
type Sum struct {
	Stream string `json:"stream"`
	// First and Last are the oldest sequence and the one up to which was read.
	First uint64 `json:"firstSequence"`
	Last  uint64 `json:"lastSequence"`
	// Claimed is how many messages the stream says it has there, Read how many could be
	// read.
	Claimed uint64 `json:"claimed"`
	Read    uint64 `json:"read"`
	// Bytes is how many bytes the bodies of those have.
	Bytes uint64 `json:"bytes"`
	// Deleted is how many sequences between First and Last have no message.
	Deleted uint64 `json:"deleted"`
	// Unreadable are sequences whose messages the stream has and cannot read, as far as
	// they could be told from deleted ones: maxUnreadable at most.
	Unreadable []uint64 `json:"unreadable,omitempty"`
	// SHA256 is the checksum over sequence, subject, headers and body of each message.
	SHA256 string `json:"sha256"`
}

// Damage returns [ErrDamaged] when messages are missing that the stream says it has.
func (s Sum) Damage() error {
	if s.Read < s.Claimed {
		return fmt.Errorf("%w: stream %s says that it has %d messages from %d to %d, and %d can be read%s", ErrDamaged, s.Stream, s.Claimed, s.First, s.Last, s.Read, s.missing())
	}
	return nil
}

// Lacks is how many messages the stream says that it has, and that cannot be read.
func (s Sum) Lacks() uint64 { return s.Claimed - min(s.Claimed, s.Read) }

// missing names the messages that cannot be read, for an error.
func (s Sum) missing() string {
	if len(s.Unreadable) == 0 {
		return ""
	}
	const shown = 10
	text := strings.Trim(fmt.Sprint(s.Unreadable[:min(shown, len(s.Unreadable))]), "[]")
	if len(s.Unreadable) > shown {
		text += fmt.Sprintf(" and %d more", len(s.Unreadable)-shown)
	}
	return "; not readable: " + text
}

// The pace of a sum.
const (
	sumPage     = 1024
	sumAttempts = 5
	// maxUnreadable bounds the sequences that a sum names.
	maxUnreadable = 1000
	// maxHoles bounds the sequences without a message that a sum remembers, and the
	// deleted ones that it asks the stream for, in one answer, to name the others.
	maxHoles = 50_000
)

// Sum reads every message of a stream and adds them up. With through, which is 0 for
// the end of the stream, it stops after that sequence. pause, if any, is called after
// each page with the sum so far, without its checksum; its error ends the sum. It returns
// [ErrNoStream] when there is no such stream.
//
// What is removed while it reads makes it begin again, five times at most.
func (a *Archive) Sum(ctx context.Context, stream string, through uint64, pause func(soFar Sum) error) (Sum, error) {
	if pause == nil {
		pause = func(Sum) error { return nil }
	}
	return a.repeatSum(stream, func() (Sum, bool, error) { return a.sum(ctx, stream, through, pause) })
}

// repeatSum adds up again while messages are removed meanwhile, so that it is not whole.
func (a *Archive) repeatSum(stream string, add func() (sum Sum, whole bool, err error)) (Sum, error) {
	for attempt := 1; ; attempt++ {
		sum, whole, err := add()
		if err != nil {
			return Sum{}, fmt.Errorf("add up stream %s: %w", stream, err)
		}
		if whole || sum.Damage() == nil {
			return sum, nil
		}
		if attempt == sumAttempts {
			return Sum{}, fmt.Errorf("add up stream %s: %w: it changes too fast", stream, jet.ErrIncomplete)
		}
	}
}

func (a *Archive) sum(ctx context.Context, stream string, through uint64, pause func(soFar Sum) error) (sum Sum, whole bool, err error) {
	before, err := a.state(ctx, stream)
	if err != nil {
		return sum, false, err
	}
	if through == 0 || through > before.LastSeq {
		through = before.LastSeq
	}
	sum = Sum{Stream: stream, First: before.FirstSeq, Last: through}
	digest := sha256.New()
	var gaps holes
	gaps.next = before.FirstSeq
	var newer uint64 // messages after through, which the stream's count includes
	for after := uint64(0); after < before.LastSeq; {
		last := after
		request := jet.Request{Sequence: after + 1, Next: ">", Batch: sumPage, MaxBytes: jet.BatchBytes}
		err := a.client.Batch(ctx, stream, request, func(found jet.Message) {
			last = found.Sequence
			switch {
			case last > before.LastSeq: // came meanwhile
			case last > through:
				newer++
			default:
				gaps.found(last)
				sum.Read++
				sum.Bytes += uint64(len(found.Body))
				addTo(digest, found)
			}
		})
		switch {
		case err != nil && !errors.Is(err, jet.ErrIncomplete):
			return sum, false, err
		case last > after:
			after = last
		case err == nil: // there is no further one
			after = before.LastSeq
		default: // a message that the server cannot load ends its answer
			if after, err = a.nextReadable(ctx, stream, after, before.LastSeq, func() error { return pause(sum) }); err != nil {
				return sum, false, err
			}
		}
		if err := pause(sum); err != nil {
			return sum, false, err
		}
	}
	after, err := a.state(ctx, stream)
	if err != nil {
		return sum, false, err
	}
	sum.SHA256 = hex.EncodeToString(digest.Sum(nil))
	sum.Claimed = before.Msgs - min(before.Msgs, newer)
	if through >= before.FirstSeq {
		sum.Deleted = through - before.FirstSeq + 1 - min(through-before.FirstSeq+1, sum.Claimed)
	}
	if sum.Damage() != nil {
		gaps.found(through + 1)
		if sum.Unreadable, err = a.unreadable(ctx, stream, gaps, after); err != nil {
			return sum, false, err
		}
	}
	return sum, before.FirstSeq == after.FirstSeq && before.NumDeleted == after.NumDeleted, nil
}

// holes are the sequences between those that were read: deleted, or not readable.
type holes struct {
	next      uint64 // the sequence after the last that was read
	sequences []uint64
	overflow  bool // there are more than maxHoles
}

// found notes that a sequence was read, and the ones before it were not.
func (h *holes) found(sequence uint64) {
	for ; h.next < sequence && !h.overflow; h.next++ {
		if len(h.sequences) == maxHoles {
			h.sequences, h.overflow = nil, true
			return
		}
		h.sequences = append(h.sequences, h.next)
	}
	h.next = sequence + 1
}

// unreadable returns the holes that were not deleted, maxUnreadable at most, and none
// when there are more holes or deleted messages than the stream is asked for.
func (a *Archive) unreadable(ctx context.Context, stream string, gaps holes, state jetstream.StreamState) ([]uint64, error) {
	if gaps.overflow || state.NumDeleted > maxHoles {
		return nil, nil
	}
	found, err := a.client.JS.Stream(ctx, stream)
	if err != nil {
		return nil, jet.Unavailable(err)
	}
	info, err := found.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, jet.Unavailable(err)
	}
	deleted := make(map[uint64]bool, len(info.State.Deleted))
	for _, sequence := range info.State.Deleted {
		deleted[sequence] = true
	}
	missing := slices.DeleteFunc(gaps.sequences, func(sequence uint64) bool { return deleted[sequence] || sequence < info.State.FirstSeq })
	return missing[:min(len(missing), maxUnreadable)], nil
}

// The pace of the search for the end of a damaged or deleted range: probePage requests,
// and then a pause, so that it makes 1000 requests a second at most.
const (
	probePage  = 100
	probePause = 100 * time.Millisecond
)

// nextReadable returns the sequence before the next message that can be read, or the
// last one when there is none. It calls pause after each page of requests.
func (a *Archive) nextReadable(ctx context.Context, stream string, after, last uint64, pause func() error) (uint64, error) {
	for sequence := after + 1; sequence <= last; sequence++ {
		_, err := a.client.Direct(ctx, stream, jet.Request{Sequence: sequence})
		switch {
		case err == nil:
			return sequence - 1, nil
		case errors.Is(err, jet.ErrUnavailable), ctx.Err() != nil:
			return 0, err
		}
		if (sequence-after)%probePage != 0 {
			continue
		}
		if err := wait.For(ctx, probePause); err != nil {
			return 0, err
		}
		if err := pause(); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// state asks the leader of a stream.
func (a *Archive) state(ctx context.Context, stream string) (jetstream.StreamState, error) {
	info, err := a.info(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return info.State, nil
}

// addTo adds a message to a checksum, with the headers that were stored with it.
func addTo(digest hash.Hash, found jet.Message) {
	field := func(text string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		digest.Write(size[:])
		digest.Write([]byte(text))
	}
	var sequence [8]byte
	binary.BigEndian.PutUint64(sequence[:], found.Sequence)
	digest.Write(sequence[:])
	field(found.Subject)
	for _, name := range slices.Sorted(maps.Keys(found.Header)) {
		if slices.Contains(answerHeaders, name) {
			continue
		}
		field(name)
		field(strings.Join(found.Header[name], "\x00"))
	}
	field(string(found.Body))
}

// answerHeaders are those that the answer to a read adds to a stored message.
var answerHeaders = []string{
	jetstream.StreamHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer, jetstream.SubjectHeader, jetstream.LastSequenceHeader,
	jet.HeaderPending, jet.HeaderLast, "Nats-UpTo-Sequence",
}
