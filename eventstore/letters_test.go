package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// poison returns count dead letters, numbered from first.
func poison(first, count int) []messaging.DeadLetter {
	letters := make([]messaging.DeadLetter, count)
	for n := range letters {
		letters[n] = messaging.DeadLetter{Reason: messaging.ReasonInvalidJSON, Source: "redis:test", At: time.Now(), Body: fmt.Appendf(nil, "poison %d", first+n)}
	}
	return letters
}

// requirePoison requires that the stream has the letters from 0 to count, each once and in
// this order, and returns how many of them were stored in a batch.
func (b *bundle) requirePoison(t *testing.T, count int) (batched int) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), "NOVEL_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	letters := b.allLetters(t)
	if len(letters) != count {
		t.Fatalf("%d letters, want %d", len(letters), count)
	}
	for n, letter := range letters {
		if want := fmt.Sprint("poison ", n); string(letter.Body) != want {
			t.Fatalf("letter %d is %q, want %q", n, letter.Body, want)
		}
		msg, err := stream.GetMsg(t.Context(), letter.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if msg.Header.Get("Nats-Batch-Id") != "" {
			batched++
		}
	}
	return batched
}

// Many letters share a write. Repeats of letters that this log or another one has stored are
// not stored again, and do not keep the others from being stored in order.
func TestLettersAreStoredTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := open(t, b.conn)
	if err := b.log.DeadLetter(t.Context(), poison(0, 300)...); err != nil {
		t.Fatal(err)
	}
	if batched := b.requirePoison(t, 300); batched != 300 {
		t.Errorf("%d of 300 letters were stored in batches", batched)
	}
	// Its own repeats do not make the server refuse the batch.
	if err := b.log.DeadLetter(t.Context(), slices.Concat(poison(290, 110), poison(310, 5))...); err != nil {
		t.Fatal(err)
	}
	if batched := b.requirePoison(t, 400); batched != 400 {
		t.Errorf("%d of 400 letters were stored in batches", batched)
	}
	// Those of another gateway do.
	if err := other.log.DeadLetter(t.Context(), poison(350, 150)...); err != nil {
		t.Fatal(err)
	}
	if batched := b.requirePoison(t, 500); batched != 400 {
		t.Errorf("%d of 500 letters were stored in batches", batched)
	}
	if got := b.counter(t, "dead_letters_total"); got != 415 {
		t.Errorf("%v letters counted by the first log, want 415", got)
	}
}

// A letter that the stream does not take is named, and the others are stored.
func TestLetterThatIsRefusedIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.js.Stream(t.Context(), "NOVEL_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgSize = 4096
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	letters := poison(0, 40)
	large := messaging.DeadLetter{Reason: messaging.ReasonTooLarge, Body: []byte(strings.Repeat("x", 5000))}
	letters = slices.Insert(letters, 7, large)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.log.DeadLetter(ctx, letters...) }() // ends below
	eventually(t, "the other letters", func() bool { return b.counter(t, "dead_letters_total") == 40 })
	cancel()
	var unstored *eventstore.UnstoredLettersError
	if err := <-ended; !errors.Is(err, context.Canceled) || !errors.As(err, &unstored) || !slices.Equal(unstored.Unstored(), []int{7}) {
		t.Errorf("%v", err)
	}
	b.requirePoison(t, 40)
}

// A stream without batches takes letters one by one.
func TestLettersWithoutBatches(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.js.Stream(t.Context(), "NOVEL_DEADLETTER")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = false
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < 600; at += 300 {
		if err := b.log.DeadLetter(t.Context(), poison(at, 300)...); err != nil {
			t.Fatal(err)
		}
	}
	if batched := b.requirePoison(t, 600); batched != 0 {
		t.Errorf("%d letters were stored in batches", batched)
	}
}
