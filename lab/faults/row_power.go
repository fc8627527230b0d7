package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/volume"
)

func powerRows() []Row {
	const limit = 45 * time.Second
	return []Row{
		{
			Number: 27, Title: "power is lost in a burst, with a sync for each write, the log inside the gateway", Limit: limit, NeedsRoot: true,
			System: System{Sync: "always", Mongo: true, Jobs: 6, Volatile: true}, Run: losePowerInBurst,
		},
		{
			Number: 27, Variant: "interval", Title: "power is lost seconds after the last events, with a sync every 10 s, the log inside the gateway", Limit: limit, NeedsRoot: true,
			System: System{Sync: "10s", Mongo: true, Jobs: 6, Volatile: true}, Run: losePowerUnsynced,
		},
	}
}

// mount puts the folder of a server of the log on a volume that can lose power, if
// System.Volatile is set.
func (t *Trial) mount(p *processes.Process) error {
	if !t.system.Volatile {
		return nil
	}
	mounted, err := volume.Mount(t.Lab.Folder(p), filepath.Join(t.dir, "volume-of-"+p.Name()))
	if errors.Is(err, volume.ErrNoVolume) {
		return Skip("%v", err)
	}
	if err != nil {
		return err
	}
	if t.volumes == nil {
		t.volumes = map[*processes.Process]*volume.Volume{}
	}
	t.volumes[p] = mounted
	t.cleanup = append(t.cleanup, func() error {
		p.Kill()
		return mounted.Close()
	})
	return nil
}

// losePowerInBurst makes the machine of the log lose power while events are stored. With a
// sync for each write, no acknowledged event may be lost. A new epoch begins nevertheless,
// because events are delivered before their sync.
func losePowerInBurst(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, t.Scaled("events", 2000, 600, 200)); err != nil {
		return err
	}
	lost, err := t.beforeTailLost(ctx)
	if err != nil {
		return err
	}
	t.ExpectEpoch()
	stop := t.Load(500)
	defer stop()
	if err := t.Outbox.AwaitMore(ctx, 200+rand.IntN(300)); err != nil {
		return err
	}
	since, err := t.losePower(ctx)
	if err != nil {
		return err
	}
	left, err := t.whatIsLeft(ctx, lost)
	if err != nil {
		return err
	}
	if left < lost.last {
		return fmt.Errorf("the log ends at %d, and events up to %d were acknowledged with a sync for each write", left, lost.last)
	}
	return t.afterTailLost(ctx, lost, since, stop)
}

// losePowerUnsynced makes the machine of the log lose power when events have been
// acknowledged and not synced. They are lost, and a new epoch must begin.
//
// The reason of that epoch is "restored", though the boot id is another one. With an interval,
// the server does not sync the settings of a stream either, so that the power loss takes them.
// The server ignores a stream without settings. The gateway creates it again with a new epoch,
// and the server then finds the records that were synced. The mark beside the log is of the
// replaced epoch by then, and there is no reason to begin a second one.
func losePowerUnsynced(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, 100); err != nil {
		return err
	}
	// Right after a sync, almost a whole interval remains until the next one.
	keeper := t.keepers()[0]
	for {
		unsynced, err := t.volumes[keeper].Unsynced(".blk")
		if err != nil {
			return err
		}
		if unsynced == 0 {
			break
		}
		if err := wait.For(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if err := t.PublishSome(ctx, t.Scaled("events", 2000, 600, 200)); err != nil {
		return err
	}
	lost, err := t.beforeTailLost(ctx)
	if err != nil {
		return err
	}
	t.ExpectEpoch()
	since, err := t.losePower(ctx)
	if err != nil {
		return err
	}
	return t.recovered(ctx, lost, since)
}

// losePower makes the machines of all servers of the log lose power, and starts the servers
// again. It returns when it started them.
func (t *Trial) losePower(ctx context.Context) (since time.Time, err error) {
	keepers := t.keepers()
	for _, p := range keepers {
		p.Kill()
	}
	var all volume.Loss
	for _, p := range keepers {
		loss, err := t.volumes[p].LosePower()
		if err != nil {
			return since, err
		}
		all.Files, all.Bytes = all.Files+loss.Files, all.Bytes+loss.Bytes
		err = t.Lab.NextBoot(p)
		if errors.Is(err, processes.ErrNoBoot) {
			return since, Skip("%v", err)
		}
		if err != nil {
			return since, err
		}
	}
	t.Measure("files that lost what was not synced", float64(all.Files), "")
	t.Measure("bytes that were not synced", float64(all.Bytes), "B")
	since = time.Now()
	return since, startAll(ctx, keepers)
}
