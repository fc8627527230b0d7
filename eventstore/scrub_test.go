package eventstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// flip changes one bit of a text in the files of a stopped log.
func flip(t *testing.T, dir, text string) {
	t.Helper()
	flipped := false
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "NOVEL_EVENTS") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(content, []byte(text)); at >= 0 {
			content[at+1] ^= 1
			flipped = true
			return os.WriteFile(path, content, 0o600)
		}
		return nil
	})
	if err != nil || !flipped {
		t.Fatalf("flip a bit of %q: flipped is %t, %v", text, flipped, err)
	}
}

// Damage on disk is found by reading: a sum names the records, the scrub shows their
// number and keeps it for others, and deleted records are not taken for damaged ones.
func TestDamageOnDiskIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := natsserver.Start(natsserver.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	before := open(t, conn)
	for n := 1; n <= 50; n++ {
		before.add(t, record("job", "marker-"+strconv.Itoa(n)+"-end"))
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for _, deleted := range []uint64{7, 24, 26} {
		if err := stream.DeleteMsg(t.Context(), deleted); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	closeServer(t, server)
	flip(t, dir, "marker-25-end")
	flip(t, dir, "marker-40-end")

	server = startServer(t, natsserver.Config{StoreDir: dir})
	if conn, err = server.Conn(eventstore.ConnOptions(nil)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	after := open(t, conn)
	streams, err := archive.New(conn, "")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := streams.Sum(t.Context(), "NOVEL_EVENTS", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Read != 45 || sum.Claimed != 47 || sum.Lacks() != 2 || len(sum.Unreadable) != 2 || sum.Unreadable[0] != 25 || sum.Unreadable[1] != 40 {
		t.Errorf("the sum is %+v", sum)
	}
	if damage := sum.Damage(); !errors.Is(damage, archive.ErrDamaged) || !strings.HasSuffix(damage.Error(), "not readable: 25 40") {
		t.Errorf("the damage is %v", damage)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- after.log.Scrub(ctx, true) }() // ends with ctx
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(patience); after.counter(t, "unreadable_records") != 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the metric is %v, want 2", after.counter(t, "unreadable_records"))
		}
	}
	last, found, err := after.log.Scrubbed(t.Context())
	if err != nil || !found || last.Sum.Lacks() != 2 || last.Holder != "" || last.At.IsZero() {
		t.Errorf("the record of the scrub is %+v, %t, %v", last, found, err)
	}
	// Another process shows it, and does not read the log again.
	other := open(t, conn)
	go func() { ended <- other.log.Scrub(ctx, false) }() // ends with ctx
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for deadline := time.Now().Add(patience); other.counter(t, "unreadable_records") != 2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the other process does not show what was found")
		}
	}
	if again, _, err := other.log.Scrubbed(t.Context()); err != nil || !again.At.Equal(last.At) {
		t.Errorf("the log was scrubbed again at %v, %v", again.At, err)
	}
}

// The lease of a pass is renewed while it waits for its pace, however large the records
// are, and the time of its end is shown.
func TestScrubRenewsItsLease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := strings.Repeat("x", 900<<10)
	for range 18 { // four pages, of a second each
		b.add(t, record("job", large))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- eventstore.ScrubRenewing(ctx, b.log, time.Millisecond) }() // ends with ctx
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	renewals, until := 0, time.Time{}
	eventually(t, "the pass to end", func() bool {
		last, _, err := b.log.Scrubbed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if last.Holder != "" && !last.Until.Equal(until) {
			renewals, until = renewals+1, last.Until
		}
		return last.Holder == "" && !last.At.IsZero()
	})
	if renewals < 3 {
		t.Errorf("the lease was renewed %d times", renewals)
	}
	eventually(t, "the metric", func() bool { return b.counter(t, "scrubbed_timestamp_seconds") > 0 })
}

// A pass that found damage is followed by another one within the hour, so that a repair is
// soon shown; one that found none, within a day.
func TestScrubFollowsARepair(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	whole := eventstore.Scrubbed{Epoch: "e", At: at, Sum: archive.Sum{Claimed: 5, Read: 5}}
	damaged := eventstore.Scrubbed{Epoch: "e", At: at, Sum: archive.Sum{Claimed: 5, Read: 4}}
	for _, test := range []struct {
		name  string
		last  eventstore.Scrubbed
		epoch string
		after time.Duration
		want  bool
	}{
		{"whole, after an hour", whole, "e", time.Hour, false},
		{"whole, after a day", whole, "e", 24 * time.Hour, true},
		{"damaged, soon", damaged, "e", 59 * time.Minute, false},
		{"damaged, after an hour", damaged, "e", time.Hour, true},
		{"of another epoch", whole, "f", 0, true},
	} {
		if got := eventstore.ScrubDue(test.last, test.epoch, at.Add(test.after)); got != test.want {
			t.Errorf("%s: due is %t", test.name, got)
		}
	}
}
