package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore/archive"
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

// Options say how a restore goes about it.
type Options struct {
	// Replace takes the place of streams that are there: the backup is restored beside
	// them first, and they are deleted once it is whole there. InPlace deletes them
	// first, for a server that cannot hold both.
	Replace, InPlace bool
	// Epoch is the one that the log is given; empty: a new one. What a restore with the
	// same epoch has made, before it was interrupted, is left as it is.
	Epoch string
	// Resumed is the epoch of an interrupted restore whose streams, apart from the events,
	// are left as they are too.
	Resumed string
	// Prepare, if there is one, is called after the backup was found to be one that the
	// server takes and before the log is changed; its error ends the restore.
	Prepare func(context.Context, Coming) error
	// Report, unless it is nil, is called with the progress.
	Report func(Progress)
}

// Restore is [RestoreWith] without a preparation.
func Restore(ctx context.Context, streams *archive.Archive, dir string, replace bool, report func(Progress)) (Restored, error) {
	return RestoreWith(ctx, streams, dir, Options{Replace: replace, Report: report})
}

// RestoreWith restores the streams of a backup, the log in a new epoch. It looks at
// every checksum and at the server before it changes anything: it returns [ErrCorrupt]
// for a backup that is not whole, archive.ErrStreamExists when a stream is there,
// unless it is told to replace it, and archive.ErrNoRoom when the server cannot hold
// the restored stream beside the one that is there.
//
// A stream carries the mark of one that is being restored until all of them are there,
// with the count and the checksum that the manifest has. An interrupted restore can be
// repeated; with the same Epoch also one that was interrupted after its last step. The
// record of erasures is created where it is missing, and never replaced.
func RestoreWith(ctx context.Context, streams *archive.Archive, dir string, options Options) (Restored, error) {
	if options.Report == nil {
		options.Report = func(Progress) {}
	}
	manifest, err := Load(dir)
	if err != nil {
		return Restored{}, err
	}
	options.Report(Progress{Step: "check the files"})
	if err := Check(dir, manifest); err != nil {
		return Restored{}, Unchanged{err}
	}
	restored := Restored{Streams: manifest.Streams}
	if len(manifest.Streams) == 0 {
		return restored, Unchanged{fmt.Errorf("%w: it has no stream", ErrCorrupt)}
	}
	coming := Coming{Epoch: cmp.Or(options.Epoch, archive.NewEpoch()), Manifest: manifest}
	restored.Epoch, restored.PreviousEpoch = coming.Epoch, coming.Events().Epoch
	r := &restorer{archive: streams, dir: dir, options: options}
	// The events are completed last.
	whole, err := streams.Completed(ctx, coming.Events().Name, coming.Epoch)
	if err != nil {
		return Restored{}, err
	}
	if whole {
		return restored, prepare(ctx, options, coming)
	}
	if err := r.look(ctx, coming); err != nil {
		return restored, Unchanged{err}
	}
	defer func() { r.clean(ctx) }()
	if err := r.try(ctx); err != nil {
		return restored, Unchanged{err}
	}
	if err := r.audit(ctx, manifest); err != nil {
		return restored, err
	}
	if err := prepare(ctx, options, coming); err != nil {
		return restored, err
	}
	return restored, r.exchange(ctx, coming.Epoch)
}

// Unchanged is an error of a restore that ended before it changed the log.
type Unchanged struct{ Err error }

// Error returns the text of the cause alone.
func (u Unchanged) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u Unchanged) Unwrap() error { return u.Err }

func prepare(ctx context.Context, options Options, coming Coming) error {
	if options.Prepare == nil {
		return nil
	}
	return options.Prepare(ctx, coming)
}

// restorer restores the streams of one backup.
type restorer struct {
	archive *archive.Archive
	dir     string
	options Options
	streams []part
}

// part is one stream of the log that is to be restored.
type part struct {
	Stream
	snapshot archive.Snapshot
	there    bool // a stream with a past stands in its place
	beside   bool // it was restored beside that
}

// look finds what is there of the streams that are to be restored.
func (r *restorer) look(ctx context.Context, coming Coming) error {
	for _, stream := range coming.Manifest.Streams {
		if r.archive.IsAudit(stream.Name) {
			continue
		}
		completed, err := r.archive.Completed(ctx, stream.Name, coming.Epoch)
		if err == nil && !completed && r.options.Resumed != "" && stream.Name != coming.Events().Name {
			completed, err = r.archive.Completed(ctx, stream.Name, r.options.Resumed)
		}
		if err != nil {
			return err
		}
		if completed {
			continue
		}
		snapshot, err := describe(r.dir, stream)
		if err != nil {
			return err
		}
		vacant, err := r.archive.Vacant(ctx, stream.Name)
		if err != nil {
			return err
		}
		p := part{Stream: stream, snapshot: snapshot, there: !vacant}
		if p.there && !r.options.Replace {
			return fmt.Errorf("restore stream %s: %w", stream.Name, archive.ErrStreamExists)
		}
		r.streams = append(r.streams, p)
	}
	return nil
}

// try finds out whether the server takes the backup, before anything is deleted.
func (r *restorer) try(ctx context.Context) error {
	for i := range r.streams {
		p := &r.streams[i]
		if !p.there || r.options.InPlace || !archive.CanBeside(p.Files[1].Path) {
			if err := r.archive.Probe(ctx, p.snapshot); err != nil {
				return err
			}
			continue
		}
		p.beside = true
		err := r.send(ctx, *p, "restore "+p.Name+" beside the one that is there", r.archive.RestoreBeside)
		if err == nil {
			err = r.compare(ctx, archive.Beside(p.Name), *p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exchange puts the streams into their places. The server has taken what was restored beside
// them; then an interruption is ignored, because there is no log until the end.
func (r *restorer) exchange(ctx context.Context, epoch string) error {
	for _, p := range r.streams {
		if p.beside {
			ctx = context.WithoutCancel(ctx)
		}
	}
	for _, p := range r.streams {
		if p.there {
			if err := r.archive.Remove(ctx, p.Name); err != nil {
				return err
			}
		}
		if err := r.send(ctx, p, "restore "+p.Name, r.archive.RestoreMarked); err != nil {
			return err
		}
		if !p.beside {
			if err := r.compare(ctx, p.Name, p); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Backward(r.streams) { // The events last: with them the log is whole.
		if _, err := r.archive.Complete(ctx, p.snapshot, epoch); err != nil {
			return err
		}
	}
	return nil
}

// The server may still make a stream of a restore whose request was interrupted: so
// often, and with these pauses, clean looks again.
const (
	cleanTries = 10
	cleanPause = 100 * time.Millisecond
)

// clean removes what was restored beside. What it misses, because the process was killed
// for instance, [archive.Archive.Probe] of the next restore removes.
func (r *restorer) clean(ctx context.Context) {
	tries := 1
	if ctx.Err() != nil {
		tries = cleanTries
	}
	ctx = context.WithoutCancel(ctx)
	for try := range tries {
		if try > 0 {
			time.Sleep(cleanPause) // nothing says when the server is done with the request
		}
		for _, p := range r.streams {
			if there, err := r.archive.Exists(ctx, archive.Beside(p.Name)); p.beside && (there || err != nil) {
				_ = r.archive.Remove(ctx, archive.Beside(p.Name))
			}
		}
	}
}

// compare compares what can be read from a restored stream with the manifest.
func (r *restorer) compare(ctx context.Context, name string, p part) error {
	sum, err := r.archive.Sum(ctx, name, 0, func(soFar archive.Sum) error {
		r.options.Report(Progress{Step: "compare " + p.Name, Done: soFar.Read, Total: p.Messages})
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if sum.Read != p.Messages || p.SHA256 != "" && sum.SHA256 != p.SHA256 {
		return fmt.Errorf("restore stream %s: %w: %d of %d messages can be read, or they differ from those that were saved", p.Name, archive.ErrDamaged, sum.Read, p.Messages)
	}
	return nil
}

// audit makes the record of erasures, if the backup has one and the server has none.
func (r *restorer) audit(ctx context.Context, manifest Manifest) error {
	for _, stream := range manifest.Streams {
		if !r.archive.IsAudit(stream.Name) {
			continue
		}
		there, restoring, err := r.archive.Restoring(ctx, stream.Name)
		if there && !restoring || err != nil {
			return err
		}
		snapshot, err := describe(r.dir, stream)
		if err != nil {
			return err
		}
		p := part{Stream: stream, snapshot: snapshot}
		if err := r.send(ctx, p, "restore "+p.Name, r.archive.RestoreMarked); err != nil {
			return err
		}
		_, err = r.archive.Complete(ctx, snapshot, "")
		return err
	}
	return nil
}

// send gives the server the data of a stream's snapshot.
func (r *restorer) send(ctx context.Context, p part, step string, restore func(context.Context, archive.Snapshot, io.ReadSeeker, func(int64)) error) error {
	data, err := os.Open(filepath.Join(r.dir, p.Files[1].Path))
	if err != nil {
		return fmt.Errorf("open the snapshot of %s: %w", p.Name, err)
	}
	defer data.Close()
	total := uint64(p.Files[1].Bytes)
	return restore(ctx, p.snapshot, data, func(read int64) { r.options.Report(Progress{Step: step, Done: uint64(read), Total: total}) })
}

// describe reads the description of a stream's snapshot.
func describe(dir string, stream Stream) (archive.Snapshot, error) {
	var snapshot archive.Snapshot
	if len(stream.Files) != 2 {
		return snapshot, fmt.Errorf("%w: stream %s has %d files, want 2", ErrCorrupt, stream.Name, len(stream.Files))
	}
	described, err := os.ReadFile(filepath.Join(dir, stream.Files[0].Path))
	if err != nil {
		return snapshot, fmt.Errorf("read the description of %s: %w", stream.Name, err)
	}
	if err := json.Unmarshal(described, &snapshot); err != nil {
		return snapshot, fmt.Errorf("read the description of %s: %w", stream.Name, err)
	}
	return snapshot, nil
}
