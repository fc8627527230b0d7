package eventstore_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// electionPatience bounds the wait for a cluster on a busy machine.
const electionPatience = 90 * time.Second

// Three replicas. One node that is put back to an earlier state gets from the others
// what it lacks, and nothing is told. When all are put back, the log has lost its tail:
// all gateways go over to one new epoch.
func TestTailLostInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startNodes(t)
	replicated := func(cfg *eventstore.Config) {
		cfg.Replicas, cfg.MaxBytes, cfg.DeadLetterMaxBytes = 3, 64<<20, 8<<20
		cfg.OpenTimeout, cfg.GuardInterval = electionPatience, 50*time.Millisecond
	}
	first, second := open(t, connect(t, c.urls()), replicated), open(t, connect(t, c.urls()), replicated)
	first.add(t, texts(1, 30)...)
	copies := c.save(t)
	first.add(t, texts(31, 50)...)
	for _, b := range []*bundle{first, second} {
		afterElections(t, "the log to be reached again", func() bool {
			state, err := b.log.State(t.Context())
			return err == nil && state.Last == 50
		})
	}
	guard(t, first.log)
	guard(t, second.log)
	old := first.log.Epoch()

	// One node.
	one := c.follower(t, first)
	name := c.options[one].ServerName
	c.stop(one)
	c.putBack(t, copies, one)
	c.start(t, one)
	first.add(t, texts(51, 60)...)
	first.awaitCopies(t)
	afterElections(t, "the node that was put back to lead", func() bool {
		request := fmt.Sprintf(`{"placement":{"preferred":%q}}`, name)
		_, _ = first.conn.Request("$JS.API.STREAM.LEADER.STEPDOWN.NOVEL_EVENTS", []byte(request), 5*time.Second)
		leader, _ := first.copies(t)
		return leader == name
	})
	var records []messaging.Record
	afterElections(t, "the log to be read from the node", func() (read bool) {
		var err error
		records, err = readBack(t.Context(), first.log, "job", math.MaxUint64, 100)
		return err == nil && len(records) == 60
	})
	for i, r := range records {
		if r.ID != fmt.Sprint("e-", i+1) || r.Sequence != uint64(i+1) {
			t.Errorf("record %d is %s at %d", i+1, r.ID, r.Sequence)
		}
	}
	if first.log.Epoch() != old || second.log.Epoch() != old {
		t.Errorf("epoch %s became %s and %s, and two of three nodes had everything", old, first.log.Epoch(), second.log.Epoch())
	}

	// All of them.
	c.stop(0, 1, 2)
	c.putBack(t, copies, 0, 1, 2)
	c.start(t, 0, 1, 2)
	afterElections(t, "one new epoch", func() bool {
		return second.log.Epoch() != old && first.log.Epoch() == second.log.Epoch()
	})
	identity, found, err := second.log.Identity(t.Context())
	if err != nil || !found || identity.Reason != eventstore.EpochTailLost || !slices.Equal(identity.Previous, []string{old}) {
		t.Errorf("identity = %+v, %v, %v", identity, found, err)
	}
	if got := first.add(t, withID("job", "new", "x")); got[0] != 31 {
		t.Errorf("sequence = %d, want the first that was lost", got[0])
	}
	for _, b := range []*bundle{first, second} {
		if begun := b.counter(t, "epochs_begun_total"); begun != 1 {
			t.Errorf("%v epochs begun, want 1", begun)
		}
	}
}

// copies returns who leads the log, and how many other copies are up to date.
func (b *bundle) copies(t *testing.T) (leader string, current int) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil || stream.CachedInfo().Cluster == nil {
		return "", 0
	}
	for _, peer := range stream.CachedInfo().Cluster.Replicas {
		if peer.Current && !peer.Offline && peer.Lag == 0 {
			current++
		}
	}
	return stream.CachedInfo().Cluster.Leader, current
}

// awaitCopies waits until all three copies are up to date.
func (b *bundle) awaitCopies(t *testing.T) {
	t.Helper()
	afterElections(t, "every copy to be up to date", func() bool {
		leader, current := b.copies(t)
		return leader != "" && current == 2
	})
}

// follower returns a node that does not lead the log, once all copies are up to date.
func (n *nodes) follower(t *testing.T, b *bundle) int {
	t.Helper()
	b.awaitCopies(t)
	leader, _ := b.copies(t)
	return slices.IndexFunc(n.options, func(o server.Options) bool { return o.ServerName != leader })
}

// afterElections is eventually for what takes elections.
func afterElections(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(electionPatience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", electionPatience, what)
		}
	}
}

// save keeps what is on the disks; the servers are away meanwhile. It returns the folder
// of the copies.
func (n *nodes) save(t *testing.T) string {
	t.Helper()
	copies := t.TempDir()
	n.stop(0, 1, 2)
	for i, options := range n.options {
		if err := os.CopyFS(filepath.Join(copies, fmt.Sprint(i)), os.DirFS(options.StoreDir)); err != nil {
			t.Fatal(err)
		}
	}
	n.start(t, 0, 1, 2)
	return copies
}

// putBack gives the disks of stopped servers the content of the copies.
func (n *nodes) putBack(t *testing.T, copies string, which ...int) {
	t.Helper()
	for _, i := range which {
		dir := n.options[i].StoreDir
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(copies, fmt.Sprint(i)))); err != nil {
			t.Fatal(err)
		}
	}
}
