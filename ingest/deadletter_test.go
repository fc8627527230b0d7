package ingest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

func TestPoisonIsDeadLetteredAndOthersAreStored(t *testing.T) {
	t.Parallel()
	const events = 3000
	poison := []struct {
		body   string
		reason messaging.Reason
	}{
		{"not json \xff", messaging.ReasonInvalidJSON},
		{`{"version":1,"kind":"domain","jobId":"job-1","event":{}}`, messaging.ReasonSchemaViolation},
		{`{"version":2,"kind":"domain","jobId":"job-1"}`, messaging.ReasonUnsupportedVersion},
		{`{"kind":"other","jobId":"job-1"}`, messaging.ReasonUnknownKind},
		{"", messaging.ReasonInvalidJSON},
	}
	b := setup(t)
	g := b.subscribed(t, quick())
	wantLetters := make(map[string]int)
	for n := range events {
		if n%100 == 50 { // 1 %
			body := poison[n/100%len(poison)].body
			wantLetters[body]++
			b.publish(t, body)
		} else {
			b.publish(t, event(fmt.Sprint("job-", n%3), "", n))
		}
	}
	letters := b.log.waitLetters(t, events/100)
	records := b.log.waitRecords(t, events-events/100)
	if err := g.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}

	last := map[string]int{"job-0": -1, "job-1": -1, "job-2": -1}
	for _, record := range records {
		n := number(t, record)
		if n <= last[record.JobID] || n%3 != int(record.JobID[4]-'0') {
			t.Fatalf("%s: %d follows %d", record.JobID, n, last[record.JobID])
		}
		last[record.JobID] = n
	}
	gotLetters := make(map[string]int)
	for _, letter := range letters {
		gotLetters[string(letter.Body)]++
		if letter.Source != "redis:novel.realtime.events" || letter.Detail == "" || letter.At.IsZero() {
			t.Errorf("dead letter %+v lacks where, why or when", letter)
		}
		for _, p := range poison {
			if p.body == string(letter.Body) && p.reason != letter.Reason {
				t.Errorf("%q is dead-lettered as %s, want %s", letter.Body, letter.Reason, p.reason)
			}
		}
	}
	if fmt.Sprint(gotLetters) != fmt.Sprint(wantLetters) {
		t.Errorf("dead letters by body %v, want %v", gotLetters, wantLetters)
	}
	if got, want := g.metric(t, "rejected_events_total{invalid-json}"), float64(2*events/100/len(poison)); got != want {
		t.Errorf("%v counted as invalid JSON, want %v", got, want)
	}
}

func TestSizeLimitIsExact(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxEventBytes = 100_000
	cfg.MaxDeadLetterBytes = 60_000
	cfg.MaxPendingBytes = 100_000 // the largest event is let in when alone
	b := setup(t)
	g := b.subscribed(t, cfg)
	tooLarge := sized(t, "above", cfg.MaxEventBytes+1)
	b.publish(t, sized(t, "below", cfg.MaxEventBytes-1), sized(t, "at", cfg.MaxEventBytes), tooLarge,
		strings.Repeat("x", 5_000_000), event("after", "", 1))

	letters := b.log.waitLetters(t, 2)
	for _, record := range b.log.waitRecords(t, 3) {
		if record.JobID == "above" {
			t.Errorf("an event of %d bytes was accepted", len(record.Body))
		}
	}
	sizes := map[string]bool{}
	for _, letter := range letters {
		if letter.Reason != messaging.ReasonTooLarge || len(letter.Body) != cfg.MaxDeadLetterBytes {
			t.Errorf("dead letter of %d bytes as %s, want the first %d as too-large", len(letter.Body), letter.Reason, cfg.MaxDeadLetterBytes)
		}
		for _, size := range []string{"100001", "5000000"} {
			sizes[size] = sizes[size] || strings.Contains(letter.Detail, size+" bytes")
		}
		if letter.Body[0] == '{' && string(letter.Body) != tooLarge[:cfg.MaxDeadLetterBytes] {
			t.Error("the dead letter is not the beginning of the event")
		}
	}
	if !sizes["100001"] || !sizes["5000000"] {
		t.Errorf("the details do not tell the true sizes: %q, %q", letters[0].Detail, letters[1].Detail)
	}
	eventually(t, "nothing to be pending", func() bool { return g.metric(t, "pending_bytes") == 0 })
}

func TestTooLargeEventIsKeptWholeWhenItFits(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxEventBytes = 1000
	b := setup(t)
	b.subscribed(t, cfg)
	body := sized(t, "job", cfg.MaxEventBytes+1)
	b.publish(t, body)
	if letter := b.log.waitLetters(t, 1)[0]; string(letter.Body) != body || letter.Reason != messaging.ReasonTooLarge {
		t.Errorf("dead letter of %d bytes as %s, want all %d as too-large", len(letter.Body), letter.Reason, len(body))
	}
}

func TestIDWithAnotherBodyIsAConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	receipts := b.receipts(t)
	g := b.subscribed(t, quick())
	other := event("job", "same", 2)
	b.publish(t, event("job", "same", 1), other, event("job", "last", 3))
	if first, second := next(t, receipts), next(t, receipts); first.ID != "same" || second.ID != "last" {
		t.Errorf("receipts %+v and %+v, want none for the conflict", first, second)
	}
	letter := b.log.waitLetters(t, 1)[0]
	if letter.Reason != messaging.ReasonIDConflict || string(letter.Body) != other {
		t.Errorf("dead letter %s with %s, want the conflicting event", letter.Reason, letter.Body)
	}
	if got := g.metric(t, "rejected_events_total{id-conflict}"); got != 1 {
		t.Errorf("%v conflicts counted, want 1", got)
	}
}

// The producer of a conflicting event receives a signed refusal on the receipts channel.
func TestConflictIsAnsweredWithARefusal(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.ReceiptSecret = "shared with the producers"
	b := setup(t)
	messages := b.client.Subscribe(t.Context(), messaging.ReceiptsChannel)
	defer messages.Close()
	if _, err := messages.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.subscribed(t, cfg)
	b.publish(t, event("job", "same", 1), event("job", "same", 2))
	for n, want := range []string{`"sequence":1`, `"error":"ID_CONFLICT"`} {
		message, err := messages.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		receipt, refusal, err := messaging.ReceiptKey(cfg.ReceiptSecret).Decode([]byte(message.Payload))
		if err != nil || (refusal != nil) != (n == 1) || !strings.Contains(message.Payload, want) {
			t.Errorf("message %d is %s: %+v, %+v, %v", n, message.Payload, receipt, refusal, err)
		}
	}
	b.log.waitLetters(t, 1)
}

func TestLogThatRejectsAnEventGetsItAsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.log.before = func(_ context.Context, jobID string) error {
		if jobID == "refused" {
			return fmt.Errorf("append: %w", &messaging.Rejection{Reason: messaging.ReasonTooLarge, Detail: strings.Repeat("é", 5000)})
		}
		return nil
	}
	b.subscribed(t, quick())
	b.publish(t, event("refused", "1", 1), event("refused", "", 2), event("other", "", 3))
	b.log.waitRecords(t, 1)
	for _, letter := range b.log.waitLetters(t, 2) {
		if letter.Reason != messaging.ReasonTooLarge || len(letter.Detail) > 1024 || strings.Trim(letter.Detail, "é") != "" {
			t.Errorf("dead letter %s with a detail of %d bytes: %.20q", letter.Reason, len(letter.Detail), letter.Detail)
		}
	}
}
