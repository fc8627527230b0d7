package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// The headers of a dead letter; its payload is the event's raw bytes.
const (
	headerReason    = "Novel-Reason"
	headerDetail    = "Novel-Detail"
	headerSource    = "Novel-Source"
	headerTime      = "Novel-Time"
	headerBodyBytes = "Novel-Body-Bytes"
)

// maxDetailBytes bounds the detail and the source in their headers.
const maxDetailBytes = 512

// Letter is a dead letter as the log holds it.
type Letter struct {
	messaging.DeadLetter
	// Sequence is the letter's place in the dead-letter stream, whose sequences
	// have nothing to do with those of the events.
	Sequence uint64
	// BodyBytes is the size the event had. It is larger than Body when the
	// event did not fit into a message; then Body is its beginning.
	BodyBytes int
}

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
			letter, err := decodeLetter(found)
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

// encodeLetter returns the message of a letter, its body cut to maxBody bytes.
func encodeLetter(letter messaging.DeadLetter, maxBody int) *nats.Msg {
	sum := sha256.New()
	sum.Write([]byte(letter.Reason))
	sum.Write([]byte{0})
	sum.Write(letter.Body)
	msg := &nats.Msg{
		Subject: layout.DeadLetterPrefix + messaging.Token(string(letter.Reason)),
		Data:    letter.Body[:min(len(letter.Body), maxBody)],
		Header:  nats.Header{},
	}
	msg.Header.Set(jetstream.MsgIDHeader, hex.EncodeToString(sum.Sum(nil)))
	msg.Header.Set(headerReason, string(letter.Reason))
	msg.Header.Set(headerDetail, oneLine(letter.Detail))
	msg.Header.Set(headerSource, oneLine(letter.Source))
	msg.Header.Set(headerTime, letter.At.UTC().Format(time.RFC3339Nano))
	msg.Header.Set(headerBodyBytes, strconv.Itoa(len(letter.Body)))
	return msg
}

// decodeLetter reads a stored letter.
func decodeLetter(found jet.Message) (Letter, error) {
	at, err := jet.TimeHeader(found.Header, headerTime)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter at sequence %d: %w", found.Sequence, err)
	}
	size, err := jet.NumberHeader(found.Header, headerBodyBytes)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter at sequence %d: %w", found.Sequence, err)
	}
	return Letter{
		DeadLetter: messaging.DeadLetter{
			Reason: messaging.Reason(found.Header.Get(headerReason)),
			Detail: found.Header.Get(headerDetail),
			Source: found.Header.Get(headerSource),
			At:     at,
			Body:   found.Body,
		},
		Sequence:  found.Sequence,
		BodyBytes: int(size),
	}, nil
}

// oneLine makes text fit for a header that people read: one line of valid UTF-8,
// bounded.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) <= maxDetailBytes {
		return text
	}
	cut := maxDetailBytes
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
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
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReadTimeout)
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
