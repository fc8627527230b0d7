package eventstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
)

// TestEraseJobOnThreeReplicas: every replica overwrites its copy of the stream. What
// its replication log has goes when the server compacts that, after minutes, which is
// not waited for here.
func TestEraseJobOnThreeReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	servers := startCluster(t)
	b := open(t, connect(t, servers[0].ClientURL()), func(c *eventstore.Config) {
		c.Replicas = 3
		c.MaxBytes = 64 << 20
		c.DeadLetterMaxBytes = 8 << 20
		c.AckTimeout, c.ReadTimeout = time.Second, 2*time.Second
		c.OpenTimeout = patience
	})
	const job, secret = "job", "what-nobody-may-read"
	var last uint64
	for range 30 {
		last = b.add(t, record(job, secret), record("other", "public"))[0]
	}
	erased, err := maintain.Of(b.log).EraseJob(t.Context(), job, last, nil)
	if err != nil || erased != 30 {
		t.Fatalf("erased %d, %v", erased, err)
	}
	for _, s := range servers {
		dir := filepath.Join(s.StoreDir(), "$G", "streams")
		eventually(t, "a replica to have overwritten it", func() bool { return onDisk(t, dir, secret) == 0 })
	}
	if _, err := audit.Beside(b.log.Client()).Note(t.Context(), audit.Erasure{ID: "1", Stage: audit.StageDone, JobID: job}); err != nil {
		t.Fatal(err)
	}
	stream, err := b.js.Stream(t.Context(), "NOVEL_AUDIT")
	if err != nil || stream.CachedInfo().Config.Replicas != 3 {
		t.Errorf("the record: %+v, %v", stream.CachedInfo().Config, err)
	}
}
