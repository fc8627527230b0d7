package eventstore_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
)

// Damage on the disk of one of three nodes is found, whichever node is asked: each copy
// is read, and the sum and the scrub name the server.
func TestDamageInOneCopy(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startNodes(t)
	b := open(t, connect(t, c.urls()), func(cfg *eventstore.Config) {
		cfg.Replicas, cfg.MaxBytes, cfg.DeadLetterMaxBytes, cfg.OpenTimeout = 3, 64<<20, 8<<20, electionPatience
	})
	for n := 1; n <= 50; n++ {
		b.add(t, record("job", fmt.Sprintf("marker-%d-end", n)))
	}
	damaged := c.follower(t, b)
	name := c.options[damaged].ServerName
	c.stop(damaged)
	flip(t, c.options[damaged].StoreDir, "marker-25-end")
	c.start(t, damaged)
	b.awaitCopies(t)

	streams, err := archive.New(b.conn, "")
	if err != nil {
		t.Fatal(err)
	}
	sums, err := streams.SumCopies(t.Context(), "NOVEL_EVENTS", nil)
	if err != nil || len(sums) != 3 {
		t.Fatalf("%d copies, %v", len(sums), err)
	}
	for _, one := range sums {
		var want []uint64
		if one.Server == name {
			want = []uint64{25}
		}
		if one.Err != nil || one.Sum.Claimed != 50 || !slices.Equal(one.Sum.Unreadable, want) {
			t.Errorf("the copy of %s: %+v, %v, want %v not to be readable", one.Server, one.Sum, one.Err, want)
		}
	}

	// A page takes room for its own records, and not for all that a request could ask for.
	if taken := allocated(func() {
		if _, err := streams.SumCopies(t.Context(), "NOVEL_EVENTS", nil); err != nil {
			t.Error(err)
		}
	}); taken > 24<<20 {
		t.Errorf("reading 3 copies of 50 small records allocates %d MiB", taken>>20)
	}

	// A page of large records is as small, in bytes, as one of small records.
	const large = 18
	for range large {
		b.add(t, record("large", strings.Repeat("x", 900<<10)))
	}
	b.awaitCopies(t)
	var before archive.Sum
	_, err = streams.SumCopies(t.Context(), "NOVEL_EVENTS", func(soFar archive.Sum) error {
		if soFar.Read < before.Read {
			before = archive.Sum{}
		}
		if page := soFar.Bytes - before.Bytes; page > 5<<20 {
			t.Errorf("a page has %d bytes", page)
		}
		before = soFar
		return nil
	})
	if err != nil || before.Read < large {
		t.Errorf("%d records of the last copy were read, %v", before.Read, err)
	}

	// Whichever copy answers: the damaged one does for a third of the reads.
	for range 30 {
		if records, err := b.log.ReadAfter(t.Context(), "job", 0, 100); err != nil || len(records) != 50 {
			t.Errorf("%d records are read, %v, want 50", len(records), err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.log.Scrub(ctx, true) }() // ends with ctx
	afterElections(t, "the scrub to find it", func() bool { return b.counter(t, "unreadable_records") == 1 })
	if last, found, err := b.log.Scrubbed(t.Context()); err != nil || !found || last.Server != name {
		t.Errorf("the record of the scrub is %+v, %t, %v", last, found, err)
	}
	cancel()
	if err := await(t, "the scrub to end", ended); err != nil {
		t.Error(err)
	}
}

// allocated returns how many bytes the process allocates during work, of a test that does
// not run in parallel to others.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
