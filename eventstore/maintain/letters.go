package maintain

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// Letter is a dead letter as the log holds it.
type Letter = layout.Letter

// letterPageBytes bounds the bodies of one page of letters. The letter that reaches it is
// the page's last.
const letterPageBytes = 4 << 20

// DeadLetters returns the letters with a sequence greater than after, oldest
// first, at most limit of them. It ends early, with one letter at least, once their
// bodies come to 4 MiB: only a page without any means that there were no more.
func (l *Log) DeadLetters(ctx context.Context, after uint64, limit int) ([]Letter, error) {
	var letters []Letter
	for size := 0; len(letters) < limit && size < letterPageBytes; {
		last, pending := after, uint64(0)
		request := jet.Request{Sequence: after + 1, Next: layout.DeadLetterPrefix + ">", Batch: limit - len(letters), MaxBytes: jet.BatchBytes}
		var errs error
		err := l.client.Batch(ctx, layout.DeadLetterStream, request, func(found jet.Message) {
			if last, pending = found.Sequence, found.Pending; size >= letterPageBytes {
				return
			}
			letter, err := layout.DecodeLetter(found)
			if err != nil {
				errs = errors.Join(errs, err)
				return
			}
			letters, size = append(letters, letter), size+len(letter.Body)
		})
		if err = errors.Join(err, errs); err != nil {
			return nil, fmt.Errorf("read dead letters after %d: %w", after, err)
		}
		if last == after || pending == 0 {
			break
		}
		after = last
	}
	return letters, nil
}

// letterRemovals is how many removals of letters are under way at once.
const letterRemovals = 32

// RemoveDeadLetter deletes one letter. One that is gone already is no error.
func (l *Log) RemoveDeadLetter(ctx context.Context, sequence uint64) error {
	return l.RemoveDeadLetters(ctx, []uint64{sequence})
}

// RemoveDeadLetters deletes letters, 32 at a time. One that is gone already is no error.
// After an error some of them may be there still.
func (l *Log) RemoveDeadLetters(ctx context.Context, sequences []uint64) error {
	if len(sequences) == 0 {
		return nil
	}
	stream, err := l.client.JS.Stream(ctx, layout.DeadLetterStream)
	if err != nil {
		return fmt.Errorf("remove dead letters: %w", jet.Unavailable(err))
	}
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(letterRemovals)
	for _, sequence := range sequences {
		if grouped.Err() != nil {
			break
		}
		group.Go(func() error {
			return l.guard.Do("removal of a dead letter", func() error { return l.removeLetter(grouped, stream, sequence) })
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err() // what the loop has left out is there still
}

func (l *Log) removeLetter(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	err := stream.DeleteMsg(ctx, sequence)
	if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) && !l.hasLetter(ctx, stream, sequence) {
		return nil
	}
	return fmt.Errorf("remove dead letter %d: %w", sequence, jet.Unavailable(err))
}

// PurgeDeadLetters deletes the letters of a reason, or of all for an empty one, with a
// sequence below before, and returns how many there were.
func (l *Log) PurgeDeadLetters(ctx context.Context, reason messaging.Reason, before uint64) (uint64, error) {
	subject := layout.DeadLetterPrefix + ">"
	if reason != "" {
		subject = layout.DeadLetterPrefix + messaging.Token(string(reason))
	}
	count, err := l.client.Purge(ctx, layout.DeadLetterStream, subject, before)
	if err != nil {
		return count, fmt.Errorf("purge dead letters of %s before %d: %w", subject, before, err)
	}
	return count, nil
}

func (l *Log) hasLetter(ctx context.Context, stream jetstream.Stream, sequence uint64) bool {
	_, err := stream.GetMsg(ctx, sequence)
	return !errors.Is(err, jetstream.ErrMsgNotFound)
}
