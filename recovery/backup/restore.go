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
	// Erased are the jobs of the backup that were erased since, and left out again;
	// whoever prepares the restore fills it in.
	Erased []string `json:"erased,omitempty"`
}

// Coming is a log that is about to be restored.
type Coming struct {
	// Epoch is the one that it will have.
	Epoch    string
	Manifest Manifest
}

// Events returns what the backup says of the log.
func (c Coming) Events() Stream { return c.Manifest.Streams[0] }

// Restore makes the streams of a backup anew, the log in a new epoch. It looks at
// every checksum and at the server before it changes anything: it returns
// [ErrCorrupt] for a backup that is not whole, and eventstore.ErrStreamExists when
// a stream is there, unless it is told to replace it. An interrupted restore can
// be repeated, with replace when it had made one of the streams.
//
// It restores all that the backup has. [RestorePrepared] is for who has to leave out
// what was erased since.
func Restore(ctx context.Context, archive *eventstore.Archive, dir string, replace bool, report func(Progress)) (Restored, error) {
	return RestorePrepared(ctx, archive, dir, replace, nil, report)
}

// RestorePrepared is [Restore] with a word in between. The record of erasures is made
// where it is missing, and never replaced; then prepare is called, if there is one,
// and then the log comes into being: an error of prepare ends the restore.
func RestorePrepared(
	ctx context.Context, archive *eventstore.Archive, dir string, replace bool,
	prepare func(context.Context, Coming) error, report func(Progress),
) (Restored, error) {
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
		if there && !replace && !archive.IsAudit(stream.Name) {
			return Restored{}, fmt.Errorf("restore stream %s: %w", stream.Name, eventstore.ErrStreamExists)
		}
	}
	restored := Restored{Streams: manifest.Streams}
	if len(manifest.Streams) == 0 {
		return restored, fmt.Errorf("%w: it has no stream", ErrCorrupt)
	}
	coming := Coming{Epoch: eventstore.NewEpoch(), Manifest: manifest}
	if err := restoreAudit(ctx, archive, dir, manifest, report); err != nil {
		return restored, err
	}
	if prepare != nil {
		if err := prepare(ctx, coming); err != nil {
			return restored, err
		}
	}
	for _, stream := range manifest.Streams {
		if archive.IsAudit(stream.Name) {
			continue
		}
		if replace {
			if err := archive.Remove(ctx, stream.Name); err != nil {
				return restored, err
			}
		}
		epoch, err := restoreStream(ctx, archive, dir, stream, coming.Epoch, report)
		if err != nil {
			return restored, err
		}
		if epoch != "" {
			restored.Epoch, restored.PreviousEpoch = epoch, stream.Epoch
		}
	}
	return restored, nil
}

// restoreAudit makes the record of erasures, if the backup has one and the server
// has none.
func restoreAudit(ctx context.Context, archive *eventstore.Archive, dir string, manifest Manifest, report func(Progress)) error {
	for _, stream := range manifest.Streams {
		if !archive.IsAudit(stream.Name) {
			continue
		}
		if there, err := archive.Exists(ctx, stream.Name); there || err != nil {
			return err
		}
		_, err := restoreStream(ctx, archive, dir, stream, "", report)
		return err
	}
	return nil
}

func restoreStream(
	ctx context.Context, archive *eventstore.Archive, dir string, stream Stream, epoch string, report func(Progress),
) (string, error) {
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
	return archive.Restore(ctx, snapshot, epoch, data, func(read int64) {
		report(Progress{Step: "restore " + stream.Name, Done: uint64(read), Total: total})
	})
}
