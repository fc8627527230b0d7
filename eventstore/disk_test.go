package eventstore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

// A full disk: appends wait and are never acknowledged falsely, and go on by
// themselves once there is room.
func TestAppendWaitsWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount a small disk: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, natsserver.Config{StoreDir: dir, SyncAlways: true})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	b := open(t, conn)
	heard := newListener()
	runTail(t, b.log, heard)

	var want []uint64
	attempts := 0
	for full := false; !full; attempts++ {
		r := record("job", "")
		r.Body = make([]byte, 900_000)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		receipt, err := b.log.Append(ctx, r)
		cancel()
		switch {
		case err == nil:
			want = append(want, receipt.Sequence)
		case errors.Is(err, context.DeadlineExceeded): // full, or slow
			full = errors.Is(server.Healthy(), natsserver.ErrStopped)
		default:
			t.Fatal(err)
		}
		if attempts > 40 {
			t.Fatal("the disk does not fill")
		}
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := b.log.Append(ctx, record("job", "after")); err != nil {
		t.Fatal(err)
	}
	await(t, "the disruption", heard.disrupted)
	if err := server.Healthy(); err != nil {
		t.Error(err)
	}
	stored := map[uint64]bool{}
	for after := uint64(0); ; {
		records, err := b.log.ReadAfter(t.Context(), "job", after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			stored[r.Sequence] = len(r.Body) > 0
		}
		after = records[len(records)-1].Sequence
	}
	for _, sequence := range want {
		if !stored[sequence] {
			t.Errorf("sequence %d was acknowledged and is gone", sequence)
		}
	}
}
