package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/internal/wholefile"
)

// dataFiles are the names that the `nats` CLI gives to the data of a snapshot.
var dataFiles = []string{"stream.arc.s2", "stream.tar.s2"}

// Adopt writes the manifest of a folder in which the `nats` CLI has saved streams of
// the log, each in a folder called like the stream. The checksums are those of the
// files as they are now. It returns [ErrExists] for a folder that has a manifest, and
// [ErrNoBackup] for one without the stream of events.
//
// The CLI does not say when it made a backup: the manifest says when the newest event
// in it was stored, which is never later.
func Adopt(dir string) (Manifest, error) {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		return Manifest{}, fmt.Errorf("%w: %s", ErrExists, dir)
	}
	manifest := Manifest{Version: manifestVersion}
	for i, name := range archive.Streams() {
		stream, err := adoptStream(dir, name, &manifest)
		if errors.Is(err, os.ErrNotExist) && i > 0 {
			continue
		}
		if err != nil {
			return Manifest{}, fmt.Errorf("%w in %s: %w", ErrNoBackup, dir, err)
		}
		manifest.Streams = append(manifest.Streams, stream)
	}
	err := wholefile.Write(filepath.Join(dir, manifestFile), 0o600, func(w io.Writer) error { return writeJSON(w, manifest) })
	if err != nil {
		return Manifest{}, fmt.Errorf("write the manifest: %w", err)
	}
	return manifest, nil
}

func adoptStream(dir, name string, manifest *Manifest) (Stream, error) {
	described, err := os.ReadFile(filepath.Join(dir, name, snapshotFile))
	if err != nil {
		return Stream{}, err
	}
	var snapshot archive.Snapshot
	if err := json.Unmarshal(described, &snapshot); err != nil {
		return Stream{}, fmt.Errorf("read the description of %s: %w", name, err)
	}
	saved, epoch, state, err := snapshot.Stream()
	if err != nil {
		return Stream{}, err
	}
	if saved != name {
		return Stream{}, fmt.Errorf("%s holds stream %q", name, saved)
	}
	if manifest.CreatedAt.IsZero() { // of the first, which is that of the events
		manifest.CreatedAt = state.LastTime
	}
	stream := Stream{Name: name, Epoch: epoch, Messages: state.Messages, FirstSequence: state.First, LastSequence: state.Last}
	files := []string{snapshotFile}
	for _, data := range dataFiles {
		if _, err := os.Stat(filepath.Join(dir, name, data)); err == nil {
			files = append(files, data)
		}
	}
	if len(files) != 2 {
		return Stream{}, fmt.Errorf("%s has %d files of data, want one", name, len(files)-1)
	}
	for _, file := range files {
		sum, err := sumFile(dir, filepath.Join(name, file))
		if err != nil {
			return Stream{}, fmt.Errorf("sum up %s: %w", file, err)
		}
		stream.Files = append(stream.Files, sum)
	}
	return stream, nil
}
