package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// fewestLetters is the smallest batch of letters: fewer cost less one by one than the
	// staging of a batch.
	fewestLetters = 16
	// letterBatchBytes bounds the letters of a batch.
	letterBatchBytes = 4 << 20
	// maxLettersApart bounds the letters that are sent without a batch before their
	// acknowledgements are awaited: each may take a sync of its own.
	maxLettersApart = 256
	// rememberedLetters bounds each of the two sets of [letterBatches], at about 130 bytes a
	// letter.
	rememberedLetters = 4096
)

// errLettersRefused is the cause when the server refused letters in a row, and not one of
// them by itself.
var errLettersRefused = errors.New("the server refused some of the letters")

// UnstoredLettersError is returned by [Log.DeadLetter] when some letters were not stored
// before its context ended. They may be stored later: another call with them stores each
// once within the duplicate window.
type UnstoredLettersError struct {
	indexes []int
	cause   error
}

func (e *UnstoredLettersError) Error() string {
	return fmt.Sprintf("%d dead letters are not stored: %v", len(e.indexes), e.cause)
}

func (e *UnstoredLettersError) Unwrap() error { return e.cause }

// Unstored returns the indexes of the letters that were not stored, in order.
func (e *UnstoredLettersError) Unstored() []int { return e.indexes }

// DeadLetter stores refused events in the order given. Like [Log.Append] it retries until
// ctx ends, and returns an [UnstoredLettersError] with ctx's error then. If a letter has no
// reason it stores none and returns [ErrInvalidRecord] at once.
//
// The message id is a hash of reason and body, so that one poison event that several
// gateways receive becomes one letter. So do two equal ones within the duplicate window:
// the second adds nothing to know or to redrive.
//
// From 16 letters on they are stored in atomic batches, as events are, so that a flood of
// them costs one sync for a batch and not one for a letter. A batch is refused whole when
// the stream has one of its letters. The letters of such a batch are sent one by one,
// without waiting between them: most of them are repeats as a rule, which the server does
// not write.
//
// Where the stream is nearly full, the oldest letters of the reason that takes the most
// room are removed first.
func (l *Log) DeadLetter(ctx context.Context, letters ...messaging.DeadLetter) error {
	waiting := make([]*letterMessage, len(letters))
	for n, letter := range letters {
		if letter.Reason == "" {
			return fmt.Errorf("store dead letter: %w: a reason is required", ErrInvalidRecord)
		}
		msg := layout.EncodeLetter(letter, int(l.client.Conn.MaxPayload())-layout.HeaderReserveBytes)
		waiting[n] = &letterMessage{index: n, reason: letter.Reason, id: msg.Header.Get(jetstream.MsgIDHeader), msg: msg}
	}
	pause := jet.NewPause(firstAppendPause, longestAppendPause)
	for {
		var err error
		if waiting, err = l.attemptLetters(ctx, waiting); len(waiting) == 0 {
			return nil
		}
		l.metrics.retries.WithLabelValues(string(jet.CauseOf(err))).Inc()
		l.logger.Debug("dead letters are retried", "letters", len(waiting), "error", err)
		if pause.Wait(ctx) != nil {
			left := make([]int, len(waiting))
			for n, w := range waiting {
				left[n] = w.index
			}
			return fmt.Errorf("store dead letter: %w", &UnstoredLettersError{indexes: left, cause: fmt.Errorf("%w, last attempt: %w", ctx.Err(), err)})
		}
	}
}

// letterMessage is a letter that is to be stored.
type letterMessage struct {
	// index is its place among the letters of the call.
	index  int
	reason messaging.Reason
	// id is its message id.
	id  string
	msg *nats.Msg
	// alone is true once a batch with the letter has failed: it is stored without one.
	alone bool
}

// attemptLetters makes one attempt to store letters, and returns those that are not stored
// and why.
func (l *Log) attemptLetters(ctx context.Context, letters []*letterMessage) (left []*letterMessage, err error) {
	for len(letters) > 0 {
		chunk, sizeBytes := l.letterChunk(letters)
		letters = letters[len(chunk):]
		if l.letterRoom.due(sizeBytes) {
			if err := l.makeLetterRoom(ctx); err != nil && ctx.Err() == nil {
				l.logger.Warn("the dead-letter stream cannot be measured; a flood of one reason may push out the letters of others", "error", err)
			}
		}
		unstored, chunkErr := l.storeLetters(ctx, chunk)
		left = append(left, unstored...)
		if chunkErr == nil {
			continue
		}
		if err = chunkErr; ctx.Err() != nil || jet.Passing(err) {
			return append(left, letters...), err // The others would wait as long for nothing.
		}
	}
	return left, err
}

// letterChunk returns the letters at the front that are stored together, and their size: at
// most 1,000 letters of 4 MiB. In a small stream the bound is a 64th of the stream, which
// bounds what is stored between two measurements. A larger letter is a chunk by itself.
func (l *Log) letterChunk(letters []*letterMessage) (chunk []*letterMessage, sizeBytes int) {
	limit := l.letterRoom.maxBytes.Load()
	if limit == 0 {
		limit = l.cfg.DeadLetterMaxBytes
	}
	maxBytes := min(letterBatchBytes, int(limit/64))
	for n, letter := range letters {
		size := len(letter.msg.Data) + letterOverheadBytes
		if n == maxBatchRecords || n > 0 && sizeBytes+size > maxBytes {
			return letters[:n], sizeBytes
		}
		sizeBytes += size
	}
	return letters, sizeBytes
}

// storeLetters makes one attempt to store the letters of a chunk, and returns those that are
// not stored and why.
func (l *Log) storeLetters(ctx context.Context, chunk []*letterMessage) (left []*letterMessage, err error) {
	together, apart := l.letterBatches.divide(chunk)
	if len(together) < fewestLetters {
		together, apart = nil, chunk
	}
	if len(together) > 0 {
		err := l.storeLetterBatch(ctx, together)
		switch {
		case err == nil:
			l.storedLetters(together)
		case ctx.Err() != nil || jet.Passing(err):
			return chunk, err // The outcome is unknown. If the batch was stored, the next attempt finds repeats.
		default:
			apart = chunk
		}
	}
	for piece := range slices.Chunk(apart, maxLettersApart) {
		if err != nil && (ctx.Err() != nil || jet.Passing(err)) {
			left = append(left, piece...) // It would wait as long for nothing.
			continue
		}
		unstored, pieceErr := l.publishLetters(ctx, piece)
		left = append(left, unstored...)
		if pieceErr != nil {
			err = pieceErr
		}
	}
	return left, err
}

// storeLetterBatch stores letters that differ from each other, all of them or none.
func (l *Log) storeLetterBatch(ctx context.Context, letters []*letterMessage) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	_, err := l.publishBatch(ctx, layout.DeadLetterStream, messagesOf(letters))
	for _, letter := range letters {
		letter.alone = err != nil
		for _, header := range []string{headerBatchID, headerBatchSequence, headerBatchCommit} {
			letter.msg.Header.Del(header)
		}
	}
	if jet.HasCode(err, jet.CodeBatchDisabled) {
		l.letterBatches.enabled.Store(false)
	}
	return err
}

// publishLetters stores letters one by one without waiting between them, and returns those
// that are not stored and why.
func (l *Log) publishLetters(ctx context.Context, letters []*letterMessage) (left []*letterMessage, err error) {
	if len(letters) == 1 {
		if err := l.publishLetter(ctx, letters[0].msg); err != nil {
			return letters, err
		}
		l.storedLetters(letters)
		return nil, nil
	}
	sequences, err := l.client.PublishEach(ctx, layout.DeadLetterStream, messagesOf(letters))
	var stored []*letterMessage
	for n, letter := range letters {
		if sequences[n] > 0 {
			stored = append(stored, letter)
		} else {
			left = append(left, letter)
		}
	}
	l.storedLetters(stored)
	if err != nil || len(left) == 0 {
		return left, err
	}
	// The server has refused some of them. The attempt with one of them says why.
	rest, err := l.publishLetters(ctx, left[:1])
	if left = append(rest, left[1:]...); err == nil && len(left) > 0 {
		err = errLettersRefused
	}
	return left, err
}

// publishLetter makes one attempt to store a letter by itself.
func (l *Log) publishLetter(ctx context.Context, msg *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	msg.Reply = "" // PublishEach sets it.
	_, err := l.client.JS.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	return err
}

func messagesOf(letters []*letterMessage) []*nats.Msg {
	messages := make([]*nats.Msg, len(letters))
	for n, letter := range letters {
		messages[n] = letter.msg
	}
	return messages
}

// storedLetters counts letters that are in the dead-letter stream.
func (l *Log) storedLetters(letters []*letterMessage) {
	for _, letter := range letters {
		l.metrics.deadLetters.WithLabelValues(string(letter.reason)).Inc()
	}
	l.letterBatches.remember(letters)
}

// ensureLetters makes the dead-letter stream, or adopts it.
func (l *Log) ensureLetters(ctx context.Context) error {
	batches := l.serverHasBatches()
	if err := ensureDeadLetters(ctx, l.client.JS, l.cfg, l.Settings().Replicas, batches); err != nil {
		return err
	}
	l.letterBatches.enabled.Store(batches)
	return nil
}

// letterBatches chooses the letters that are stored in a batch. Because one repeat makes the
// server refuse a whole batch, it remembers the latest letters: at least 4,096 of them, and
// at most twice as many. The memory only saves attempts. The server decides what a repeat is.
type letterBatches struct {
	// enabled says that the stream takes batches.
	enabled atomic.Bool

	mu sync.Mutex // guards the fields below
	// current are the message ids of the latest letters, previous those of the ones before.
	current, previous map[string]struct{}
}

// divide returns the letters that a batch can hold, and the others.
func (b *letterBatches) divide(letters []*letterMessage) (together, apart []*letterMessage) {
	if !b.enabled.Load() {
		return nil, letters
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	chosen := make(map[string]struct{}, len(letters))
	for _, letter := range letters {
		_, twice := chosen[letter.id]
		_, late := b.current[letter.id]
		_, earlier := b.previous[letter.id]
		if letter.alone || twice || late || earlier {
			apart = append(apart, letter)
			continue
		}
		chosen[letter.id] = struct{}{}
		together = append(together, letter)
	}
	return together, apart
}

// remember adds stored letters to the memory.
func (b *letterBatches) remember(letters []*letterMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, letter := range letters {
		if b.current == nil || len(b.current) == rememberedLetters {
			b.current, b.previous = make(map[string]struct{}), b.current
		}
		b.current[letter.id] = struct{}{}
	}
}
