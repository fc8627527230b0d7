package eventstore_test

import (
	"fmt"
	"math"
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
