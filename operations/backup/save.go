package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/wholefile"
)

// snapshotFile is what the `nats` CLI calls the description of a snapshot.
const snapshotFile = "backup.json"

// Progress is how far a transfer is, in bytes; Total is 0 while not known.
type Progress struct {
	Step        string
	Done, Total uint64
}

// Save writes a backup into the folder, which it makes. It returns [ErrExists]
// when the folder has one. Events go on meanwhile; those after the backup began
// are not in it.
func Save(ctx context.Context, streams *archive.Archive, dir string, report func(Progress)) (Manifest, error) {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		return Manifest{}, fmt.Errorf("%w: %s", ErrExists, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Manifest{}, fmt.Errorf("make the folder of the backup: %w", err)
	}
	manifest := Manifest{Version: manifestVersion, CreatedAt: time.Now().UTC(), ServerVersion: streams.ServerVersion()}
	for i, name := range archive.Streams() {
		stream, err := saveStream(ctx, streams, dir, name, report)
		if errors.Is(err, eventstore.ErrNoStream) && i > 0 {
			continue // Dead letters may not be there; events have to.
		}
		if err != nil {
			return Manifest{}, err
		}
		manifest.Streams = append(manifest.Streams, stream)
	}
	err := wholefile.Write(filepath.Join(dir, manifestFile), 0o600, func(w io.Writer) error { return writeJSON(w, manifest) })
	if err != nil {
		return Manifest{}, fmt.Errorf("write the manifest: %w", err)
	}
	return manifest, nil
}

func saveStream(ctx context.Context, streams *archive.Archive, dir, name string, report func(Progress)) (Stream, error) {
	folder := filepath.Join(dir, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Stream{}, fmt.Errorf("make the folder of stream %s: %w", name, err)
	}
	var snapshot archive.Snapshot
	data := streams.DataFile()
	err := wholefile.Write(filepath.Join(folder, data), 0o600, func(w io.Writer) (err error) {
		buffered := bufio.NewWriterSize(w, 1<<20)
		snapshot, err = streams.Save(ctx, name, buffered, func(written int64) {
			report(Progress{Step: "save " + name, Done: uint64(written)})
		})
		return errors.Join(err, buffered.Flush())
	})
	if err != nil {
		return Stream{}, err
	}
	err = wholefile.Write(filepath.Join(folder, snapshotFile), 0o600, func(w io.Writer) error { return writeJSON(w, snapshot) })
	if err != nil {
		return Stream{}, fmt.Errorf("describe the snapshot of %s: %w", name, err)
	}
	_, epoch, state, err := snapshot.Stream()
	if err != nil {
		return Stream{}, err
	}
	stream := Stream{
		Name: name, Epoch: epoch, Messages: state.Messages, FirstSequence: state.First, LastSequence: state.Last,
	}
	if err := addUp(ctx, streams, &stream, report); err != nil {
		return Stream{}, err
	}
	for _, file := range []string{snapshotFile, data} {
		sum, err := sumFile(dir, filepath.Join(name, file))
		if err != nil {
			return Stream{}, fmt.Errorf("sum up %s: %w", file, err)
		}
		stream.Files = append(stream.Files, sum)
	}
	return stream, nil
}

// addUp compares what can be read from a stream with what the stream says that it has,
// which the snapshot repeats, and notes the checksum. It returns archive.ErrDamaged
// for messages that are missing.
func addUp(ctx context.Context, streams *archive.Archive, stream *Stream, report func(Progress)) error {
	sum, err := streams.Sum(ctx, stream.Name, stream.LastSequence, func(soFar archive.Sum) error {
		report(Progress{Step: "compare " + stream.Name, Done: soFar.Read, Total: stream.Messages})
		return ctx.Err()
	})
	if err == nil {
		err = sum.Damage()
	}
	if err != nil {
		return fmt.Errorf("compare what was saved: %w", err)
	}
	if sum.First == stream.FirstSequence && sum.Read == stream.Messages {
		stream.SHA256 = sum.SHA256
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
