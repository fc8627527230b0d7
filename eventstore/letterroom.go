package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// letterOverheadBytes is what a stored letter takes beside its body, about.
const letterOverheadBytes = 512

// letterScanWait bounds the wait for the next header while letters are measured.
const letterScanWait = 2 * time.Second

// letterRoom keeps a flood of one reason from pushing out the letters of others.
//
// The server removes the oldest letters, whatever their reason, once the stream has
// reached its MaxBytes. Before it comes to that, at seven eighths, the oldest
// letters of the reason that takes the most room go, down to three quarters of the
// stream. The newest of each reason stay: no reason is cut below an eighth.
type letterRoom struct {
	// added is the size of the letters since the stream was measured last.
	added atomic.Int64
	// maxBytes is the bound of the stream as of that; 0 before.
	maxBytes atomic.Int64
	// making is true while one goroutine measures; others do not wait for it.
	making atomic.Bool
}

// due counts a letter that is to be stored, and reports whether the stream has to be
// measured first.
func (r *letterRoom) due(sizeBytes int) bool {
	added := r.added.Add(int64(sizeBytes + letterOverheadBytes))
	return added > r.maxBytes.Load()/64
}

// makeLetterRoom measures the dead-letter stream and removes the oldest letters of
// the largest reason, where there is need; see [letterRoom].
func (l *Log) makeLetterRoom(ctx context.Context) error {
	if !l.letterRoom.making.CompareAndSwap(false, true) {
		return nil
	}
	defer l.letterRoom.making.Store(false)
	stream, err := l.client.JS.Stream(ctx, layout.DeadLetterStream)
	if err != nil {
		return fmt.Errorf("measure stream %s: %w", layout.DeadLetterStream, jet.Unavailable(err))
	}
	info := stream.CachedInfo()
	limit, held := info.Config.MaxBytes, int64(min(info.State.Bytes, math.MaxInt64))
	l.letterRoom.maxBytes.Store(max(limit, 0))
	l.letterRoom.added.Store(0)
	if limit <= 0 || held <= limit/8*7 {
		return nil
	}
	bySubject := map[string]int64{} // one entry a reason
	err = l.eachLetterSize(ctx, stream, layout.DeadLetterPrefix+">", func(subject string, _ uint64, sizeBytes int64) bool {
		bySubject[subject] += sizeBytes
		return true
	})
	if err != nil {
		return err
	}
	subject, size := "", int64(0)
	for s, bytes := range bySubject {
		if bytes > size {
			subject, size = s, bytes
		}
	}
	excess := min(held-limit/4*3, size-limit/8)
	if excess <= 0 {
		return nil
	}
	upTo, freed, letters := uint64(0), int64(0), 0
	err = l.eachLetterSize(ctx, stream, subject, func(_ string, sequence uint64, sizeBytes int64) bool {
		upTo, freed, letters = sequence+1, freed+sizeBytes, letters+1
		return freed < excess
	})
	if err != nil {
		return err
	}
	if letters == 0 { // They are gone; a purge up to no sequence would remove every letter.
		return nil
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(upTo)); err != nil {
		return fmt.Errorf("make room in stream %s: %w", layout.DeadLetterStream, jet.Unavailable(err))
	}
	l.metrics.deadLettersRemoved.Add(float64(letters))
	l.logger.Warn("the dead-letter stream was nearly full: the oldest letters of the reason that takes the most room are removed",
		"reason", layout.LetterReason(subject), "letters", letters, "bytes", freed, "maxBytes", limit)
	return nil
}

// eachLetterSize calls visit with the size of each letter under a subject, oldest
// first, until visit returns false. It reads headers only.
func (l *Log) eachLetterSize(ctx context.Context, stream jetstream.Stream, subject string, visit func(subject string, sequence uint64, sizeBytes int64) bool) error {
	fail := func(err error) error {
		return fmt.Errorf("measure stream %s: %w", layout.DeadLetterStream, jet.Unavailable(err))
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true, InactiveThreshold: time.Minute,
	})
	if err != nil {
		return fail(err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(knownPull))
	if err != nil {
		return fail(err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for silent := 0; ; {
		msg, err := messages.Next(jetstream.NextMaxWait(letterScanWait))
		if errors.Is(err, nats.ErrTimeout) && ctx.Err() == nil {
			silent++
			over, err := settled(ctx, consumer, l.cfg.ReadTimeout, silent)
			if err != nil {
				return fail(err)
			}
			if over {
				return nil // The letters that were left have been removed meanwhile.
			}
			continue
		}
		if err != nil {
			return fail(errors.Join(err, ctx.Err()))
		}
		silent = 0
		meta, err := msg.Metadata()
		if err != nil {
			return fail(err)
		}
		size, err := strconv.ParseInt(msg.Headers().Get(nats.MsgSize), 10, 64)
		if err != nil {
			size = 0 // No header: the letter has no body.
		}
		if !visit(msg.Subject(), meta.Sequence.Stream, size+letterOverheadBytes) || meta.NumPending == 0 {
			return nil
		}
	}
}
