package eventstore_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// A flood of large junk leaves the letters of another reason where they are, and
// the newest of its own.
func TestFloodOfOneReasonKeepsTheOthers(t *testing.T) {
	t.Parallel()
	const genuine, junk = 20, 60
	b := setup(t, func(c *eventstore.Config) { c.DeadLetterMaxBytes = 8 << 20 })
	store := func(reason messaging.Reason, body []byte) {
		t.Helper()
		letter := messaging.DeadLetter{Reason: reason, Source: "redis:test", At: time.Now(), Body: body}
		if err := b.log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	for n := range genuine {
		store(messaging.ReasonSchemaViolation, fmt.Appendf(nil, `{"jobId":"job","n":%d}`, n))
	}
	for n := range junk { // 30 MB in all
		store(messaging.ReasonInvalidJSON, append(fmt.Appendf(nil, "junk %d ", n), bytes.Repeat([]byte("x"), 512<<10)...))
	}
	letters := b.allLetters(t)
	kept := map[messaging.Reason]int{}
	for _, letter := range letters {
		kept[letter.Reason]++
	}
	if kept[messaging.ReasonSchemaViolation] != genuine {
		t.Errorf("%d of %d letters of the other reason are left", kept[messaging.ReasonSchemaViolation], genuine)
	}
	newest := fmt.Sprintf("junk %d ", junk-1)
	if n := kept[messaging.ReasonInvalidJSON]; n < 2 || n == junk || !bytes.HasPrefix(letters[len(letters)-1].Body, []byte(newest)) {
		t.Errorf("%d letters of the flood are left, the newest being %.20q; want some, up to %q", n, letters[len(letters)-1].Body, newest)
	}
	if removed := b.counter(t, "dead_letters_removed_total"); int(removed) != junk-kept[messaging.ReasonInvalidJSON] {
		t.Errorf("%v letters counted as removed, %d are gone", removed, junk-kept[messaging.ReasonInvalidJSON])
	}
}
