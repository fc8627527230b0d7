package eventstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/sessions"
)

// Three replicas: what one gateway has stored, another reads at once, on
// whichever node, and saves outlive the leader. A bucket made for one replica
// gives way to one for three, and never the other way round.
func TestSessionsOnThreeReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	servers := startCluster(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	gateway := func(node int) *bundle {
		// It prefers one node and knows the others.
		return open(t, connect(t, strings.Join(append([]string{urls[node]}, urls...), ",")), func(c *eventstore.Config) {
			// The log itself is on every node: one of them is shut down below.
			c.Replicas, c.MaxBytes, c.DeadLetterMaxBytes = 3, 64<<20, 8<<20
			c.AckTimeout, c.ReadTimeout, c.OpenTimeout = time.Second, 2*time.Second, patience
		})
	}
	replicas := func(count int) func(*sessions.Config) {
		return func(c *sessions.Config) { c.Replicas, c.MaxBytes = count, 8<<20 }
	}
	bucket := func(b *bundle) *jetstream.StreamInfo {
		stream, err := b.js.Stream(t.Context(), "KV_NOVEL_SESSIONS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo()
	}

	single := gateway(0)
	before := single.openSessions(t, replicas(1))
	stop := runSessions(t, before)
	before.Save(sessionID(0), []byte("before"))
	single.settled(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	b, other := gateway(0), gateway(1)
	store, elsewhere := b.openSessions(t, replicas(3)), other.openSessions(t, replicas(3))
	if info := bucket(b); info.Config.Replicas != 3 || info.Config.PersistMode != jetstream.DefaultPersistMode {
		t.Errorf("bucket = %+v", info.Config)
	}
	mustLoad(t, store, sessionID(0), "-")
	runSessions(t, store)
	runSessions(t, elsewhere)
	for i := range 50 {
		// The session moves to and fro.
		store.Save(sessionID(i), []byte("first"))
		b.settled(t)
		mustLoad(t, elsewhere, sessionID(i), "first")
		elsewhere.Save(sessionID(i), []byte("second"))
		other.settled(t)
		mustLoad(t, store, sessionID(i), "second")
	}

	leader := bucket(b).Cluster.Leader
	for _, s := range servers {
		if s.Name() == leader {
			s.Shutdown()
		}
	}
	for i := range 50 {
		store.Save(sessionID(i), []byte("third"))
	}
	b.settled(t)
	for i := range 50 {
		mustLoad(t, elsewhere, sessionID(i), "third")
	}

	// Opened for fewer, it stays as it was made, and so do the sessions.
	last := gateway(2)
	again := last.openSessions(t, replicas(1))
	mustLoad(t, again, sessionID(1), "third")
}
