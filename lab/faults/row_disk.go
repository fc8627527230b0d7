package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

func diskRows() []Row {
	return []Row{{
		Number: 14, Title: "the log's disk is full, 64 MB tmpfs", Limit: 30 * time.Second, NeedsRoot: true, InCI: true,
		System: System{EventBytes: 50_000, Jobs: 40, Outbox: 400}, Run: fillDisk,
	}}
}

// fillDisk puts the log of the gateway on a small file system, fills it, and enlarges it.
func fillDisk(ctx context.Context, t *Trial) (err error) {
	gateway := t.Gateways[0]
	gateway.Kill()
	dir := filepath.Join(t.Lab.Dir(), "small")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, "mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", dir).CombinedOutput(); err != nil {
		return Skip("cannot mount a tmpfs: %v: %s", err, said)
	}
	t.cleanup = append(t.cleanup, func() error { return exec.Command("umount", "-l", dir).Run() })
	gateway.Set("DATA_DIR", filepath.Join(dir, "log"))
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	stop := t.Load(200)
	defer stop()
	// Events acknowledged before the disk was full must be present afterwards.
	began := time.Now()
	for {
		before := t.Outbox.Acknowledged()
		if err := wait.For(ctx, 3*time.Second); err != nil {
			return err
		}
		if t.Outbox.Acknowledged() == before {
			break
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("the log took events for a minute and 64 MB were not full")
		}
	}
	reason, err := notReady(ctx, gateway)
	if err != nil {
		return err
	}
	t.Note("full after %d events; the gateway says: %s", t.Outbox.Acknowledged(), reason)
	if said, err := exec.CommandContext(ctx, "mount", "-o", "remount,size=512m", dir).CombinedOutput(); err != nil {
		return Skip("cannot remount the tmpfs: %v: %s", err, said)
	}
	return t.Resumed(ctx, time.Now())
}
