package sessions

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// maxRenewals bounds the states that are in flight at once, of up to MaxStateBytes each.
const maxRenewals = 256

// Renew stores the states of sessions again, so that they do not expire, each by one write
// that the server makes only if this process was the last to store the state of that
// session. state returns the state of a session now, nil for none. It returns
// the ids of the others, in any order: nothing was changed for them, or the outcome is
// unknown, and the caller may look with [Store.Load] and use [Store.Save]. It makes one
// attempt, for as long as ctx and the time for an acknowledgement allow.
func (s *Store) Renew(ctx context.Context, ids []string, state func(id string) []byte) (refused []string) {
	for some := range slices.Chunk(ids, maxRenewals) {
		refused = append(refused, s.renew(ctx, some, state)...)
	}
	return refused
}

// renew is Renew for at most maxRenewals sessions. It reads the sequence of a session before
// its state, so that the server refuses the write if a newer state was stored in between.
func (s *Store) renew(ctx context.Context, ids []string, state func(id string) []byte) (refused []string) {
	var messages []*nats.Msg
	var known []string
	var expected []uint64
	for _, id := range ids {
		sequence := s.stored.sequence(id)
		if sequence == 0 {
			refused = append(refused, id)
			continue
		}
		data := state(id)
		if data == nil || len(data) > s.cfg.MaxStateBytes {
			refused = append(refused, id)
			continue
		}
		known, expected = append(known, id), append(expected, sequence)
		messages = append(messages, &nats.Msg{
			Subject: s.log.Client().Key(layout.SessionPrefix + id), Data: data,
			Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: []string{strconv.FormatUint(sequence, 10)}},
		})
	}
	if len(messages) == 0 {
		return refused
	}
	sequences, err := jet.Within(ctx, func() ([]uint64, error) {
		return s.log.Client().PublishEach(ctx, layout.SessionStream, messages)
	})
	if err != nil {
		s.logger.Debug("states of sessions were not all renewed", "error", err)
	}
	for n, id := range known {
		if n < len(sequences) && sequences[n] != 0 {
			s.stored.note(id, sequences[n], time.Now(), s.keptFor())
			s.metrics.saved.Inc()
			continue
		}
		s.stored.forget(id, expected[n])
		refused = append(refused, id)
	}
	return refused
}

// keptFor is for how long the sequence of a state is of use: the time to live of the state,
// or, in a bucket without one, what is set here.
func (s *Store) keptFor() time.Duration { return max(s.TTL(), s.cfg.TTL) }
