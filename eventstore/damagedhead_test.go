package eventstore_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// A job whose newest record is damaged on disk still has the others, and the jobs that
// are asked for with it have all of theirs.
func TestNewestRecordIsDamaged(t *testing.T) {
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
	for n := 1; n <= 17; n++ {
		before.add(t, record("job", fmt.Sprintf("marker-%d-end", n)), record("other", "x"))
	}
	conn.Close()
	closeServer(t, server)
	flip(t, dir, "marker-17-end")

	server = startServer(t, natsserver.Config{StoreDir: dir})
	if conn, err = server.Conn(eventstore.ConnOptions(nil)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	log := open(t, conn).log
	const newest = 31 // the 16th of the job, which are every other
	if last, err := log.LastSequence(t.Context(), "job"); err != nil || last != newest {
		t.Errorf("the last sequence is %d, %v, want %d", last, err, newest)
	}
	all, err := log.LastSequences(t.Context(), []string{"job", "other", "nobody's"})
	if err != nil || len(all) != 2 || all["job"] != newest || all["other"] != 34 {
		t.Errorf("the last sequences are %v, %v", all, err)
	}
	span, err := log.Locate(t.Context(), "job", math.MaxUint64, 250)
	if err != nil || span.First != 1 || span.Last != newest {
		t.Errorf("the records lie at %+v, %v", span, err)
	}
	if span, err := log.Locate(t.Context(), "nobody's", math.MaxUint64, 250); err != nil || span != (messaging.Span{}) {
		t.Errorf("a job without records has some at %+v, %v", span, err)
	}
}

// Pages with a limit lead past a damaged record, wherever it lies in them: each record that
// can be read is in one page, in order.
func TestLimitedPagesAroundADamagedRecord(t *testing.T) {
	t.Parallel()
	const count = 21
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
	for n := 1; n <= count; n++ {
		before.add(t, record("job", fmt.Sprintf("marker-%d-end", n)), record("other", "x"))
	}
	conn.Close()
	closeServer(t, server)
	var want []uint64
	for n := uint64(1); n <= count; n++ {
		switch n {
		case 1, 7, 8, 15, count: // the first, two in a row, one alone, and the last
			flip(t, dir, fmt.Sprintf("marker-%d-end", n))
		default:
			want = append(want, 2*n-1)
		}
	}
	server = startServer(t, natsserver.Config{StoreDir: dir})
	if conn, err = server.Conn(eventstore.ConnOptions(nil)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	log := open(t, conn).log
	for limit := 1; limit <= count+1; limit++ {
		var got []uint64
		for after := uint64(0); len(got) <= count; {
			page, err := log.ReadAfter(t.Context(), "job", after, limit)
			if err != nil {
				t.Fatalf("a page of %d after %d: %v", limit, after, err)
			}
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				t.Fatalf("a page of %d has %d records", limit, len(page))
			}
			for _, record := range page {
				got = append(got, record.Sequence)
			}
			after = page[len(page)-1].Sequence
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
}
