package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/letswriteabook/realtime/eventstore"
)

// Restored is what a restore made.
type Restored struct {
	// Epoch is the new epoch of the log, PreviousEpoch that of the backup.
	Epoch         string   `json:"epoch"`
	PreviousEpoch string   `json:"previousEpoch"`
	Streams       []Stream `json:"streams"`
}

// Restore makes the streams of a backup anew, the log in a new epoch. It looks at
// every checksum and at the server before it changes anything: it returns
// [ErrCorrupt] for a backup that is not whole, and eventstore.ErrStreamExists when
// a stream is there, unless it is told to replace it. An interrupted restore can
// be repeated, with replace when it had made one of the streams.
func Restore(ctx context.Context, archive *eventstore.Archive, dir string, replace bool, report func(Progress)) (Restored, error) {
	manifest, err := Load(dir)
	if err != nil {
		return Restored{}, err
	}
	report(Progress{Step: "check the files"})
	if err := Check(dir, manifest); err != nil {
		return Restored{}, err
	}
	for _, stream := range manifest.Streams {
		there, err := archive.Exists(ctx, stream.Name)
		if err != nil {
			return Restored{}, err
		}
		if there && !replace {
			return Restored{}, fmt.Errorf("restore stream %s: %w", stream.Name, eventstore.ErrStreamExists)
		}
	}
	restored := Restored{Streams: manifest.Streams}
	for _, stream := range manifest.Streams {
		if replace {
			if err := archive.Remove(ctx, stream.Name); err != nil {
				return restored, err
			}
		}
		epoch, err := restoreStream(ctx, archive, dir, stream, report)
		if err != nil {
			return restored, err
		}
		if epoch != "" {
			restored.Epoch, restored.PreviousEpoch = epoch, stream.Epoch
		}
	}
	return restored, nil
}

func restoreStream(ctx context.Context, archive *eventstore.Archive, dir string, stream Stream, report func(Progress)) (string, error) {
	if len(stream.Files) != 2 {
		return "", fmt.Errorf("%w: stream %s has %d files, want 2", ErrCorrupt, stream.Name, len(stream.Files))
	}
	described, err := os.ReadFile(filepath.Join(dir, stream.Files[0].Path))
	if err != nil {
		return "", fmt.Errorf("read the description of %s: %w", stream.Name, err)
	}
	var snapshot eventstore.Snapshot
	if err := json.Unmarshal(described, &snapshot); err != nil {
		return "", fmt.Errorf("read the description of %s: %w", stream.Name, err)
	}
	data, err := os.Open(filepath.Join(dir, stream.Files[1].Path))
	if err != nil {
		return "", fmt.Errorf("open the snapshot of %s: %w", stream.Name, err)
	}
	defer data.Close()
	total := uint64(stream.Files[1].Bytes)
	return archive.Restore(ctx, snapshot, data, func(read int64) {
		report(Progress{Step: "restore " + stream.Name, Done: uint64(read), Total: total})
	})
}
