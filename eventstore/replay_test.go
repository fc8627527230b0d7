package eventstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
)

func TestFirstSince(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ask := func(at time.Time) uint64 {
		t.Helper()
		sequence, err := b.operators().FirstSince(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		return sequence
	}
	if got := ask(time.Unix(0, 0)); got != 1 {
		t.Errorf("an empty log: %d, want 1", got)
	}
	for n := range 5 {
		b.add(t, record("job", string(rune('a'+n))))
	}
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	var stored []messaging.Record
	if err := b.operators().Scan(t.Context(), 1, 5, func(r messaging.Record) error { stored = append(stored, r); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []uint64{1, 3} {
		if err := stream.DeleteMsg(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		at   time.Time
		want uint64
	}{
		"before all":          {stored[0].StoredAt.Add(-time.Hour), 2},
		"at one":              {stored[3].StoredAt, 4},
		"right after one":     {stored[3].StoredAt.Add(1), 5},
		"at one that is gone": {stored[2].StoredAt, 4},
		"at the last":         {stored[4].StoredAt, 5},
		"after all":           {stored[4].StoredAt.Add(1), 6},
	} {
		if got := ask(test.at); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestScanJob(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		b.add(t, record("a.*", "x"), record("b", "y"))
	}
	var got []messaging.Record
	if err := b.operators().ScanJob(t.Context(), "a.*", 2, 5, func(r messaging.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if sequences := sequencesOf(got); len(sequences) != 2 || sequences[0] != 3 || sequences[1] != 5 {
		t.Errorf("got %v", sequences)
	}
	if err := b.operators().ScanJob(t.Context(), "", 1, 5, nil); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("no job: %v", err)
	}
}

func TestPublishTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sub, err := b.conn.SubscribeSync("audit.>")
	if err != nil {
		t.Fatal(err)
	}
	again := record("a b", "x")
	again.ReplayOf = messaging.Position{Epoch: "e", Sequence: 7}
	if err := errors.Join(b.operators().PublishTo("audit.{job}.all", again), b.operators().Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "audit."+msg.Header.Get("Novel-Job")+".all" || msg.Header.Get("Novel-Replay-Of") != "e:7" ||
		msg.Header.Get("Novel-Kind") != "domain" || string(msg.Data) != string(again.Body) {
		t.Errorf("got %s %v %s", msg.Subject, msg.Header, msg.Data)
	}
	for _, subject := range []string{
		"", "a..b", ".a", "a.", "a b", "a.*", ">", "a.\x7f", "novel.events.a", "novel", "$JS.API.INFO", "_INBOX.x", "novel.{job}",
		"{job}.events.x", "{job}", "no{job}.events.x", // of a job called novel, or vel, they are the service's
	} {
		if err := b.operators().PublishTo(subject, again); !errors.Is(err, maintain.ErrSubject) {
			t.Errorf("%q: %v", subject, err)
		}
	}
	if err := b.operators().PublishTo("audit", messaging.Record{}); !errors.Is(err, eventstore.ErrInvalidJobID) {
		t.Errorf("no job: %v", err)
	}
}
