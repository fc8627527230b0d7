package highwater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/wholefile"
)

// Name is the name of the file in the folder of the log.
const Name = "highwater.json"

// originName is the name of the file whose identity tells a folder from its copy. It
// holds the identity that it had when the folder was first used, or when the log began
// a new epoch because the folder is a copy.
const originName = "highwater.origin"

// content is the file.
type content struct {
	eventstore.Mark
	// Origin is the identity of the file originName, and Boot that of the boot of the
	// machine; empty where the system does not tell.
	Origin string `json:"origin,omitempty"`
	Boot   string `json:"boot,omitempty"`
	// Closed says that the log was closed in an orderly way, and is on the disk.
	Closed bool `json:"closed"`
}

// File is the mark in one folder; it implements [eventstore.Keeper].
type File struct {
	dir    string
	origin string
	doubt  string
	copied bool // the folder is a copy, and the file originName says so yet
	last   content
}

// Open reads the mark in the folder, which must belong to this process, and notes that
// the log is in use. It is called before anything is appended.
func Open(dir string) (*File, error) {
	f := &File{dir: dir}
	found := false
	raw, err := os.ReadFile(filepath.Join(dir, Name))
	switch {
	case err == nil:
		found = json.Unmarshal(raw, &f.last) == nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the high-water mark: %w", err)
	}
	var recorded string
	if f.origin, recorded, err = origin(filepath.Join(dir, originName)); err != nil {
		return nil, fmt.Errorf("mark the folder of the log: %w", err)
	}
	switch {
	case f.origin != "" && recorded != f.origin: // also where the copy was made before the first mark
		f.copied, f.doubt = true, copied
	case found:
		f.doubt = f.last.doubt(f.origin, bootID())
	}
	if f.doubt != "" {
		return f, nil // The file keeps the reason until the log has begun a new epoch.
	}
	return f, f.write(f.content(f.last.Mark))
}

// content returns the file of a log that is in use.
func (f *File) content(mark eventstore.Mark) content {
	return content{Mark: mark, Origin: f.origin, Boot: bootID()}
}

const copied = "the folder of the log is a copy, and may lack what came after it was copied"

// doubt returns why a folder with this mark may lack what its log has given out.
func (c content) doubt(origin, boot string) string {
	switch {
	case c.Origin != "" && origin != "" && c.Origin != origin:
		return copied
	case !c.Closed && c.Boot != "" && boot != "" && c.Boot != boot:
		return "the machine went down while the log was in use: what clients were given last may not have reached the disk"
	}
	return ""
}

// origin returns the identity of the file at path, and the one that the file holds. It
// makes the file if need be, and writes the identity into one that holds none.
func origin(path string) (identity, recorded string, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", "", err
	}
	identity = identityOf(file)
	raw, err := io.ReadAll(io.LimitReader(file, 256))
	if err == nil && len(raw) == 0 {
		raw = []byte(identity)
		err = writeAt(file, identity)
	}
	return identity, string(raw), errors.Join(err, file.Close())
}

// writeAt replaces what the file holds, and keeps the file.
func writeAt(file *os.File, text string) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return file.Sync()
}

// Name implements [eventstore.Keeper].
func (f *File) Name() string { return "file " + Name }

// Load implements [eventstore.Keeper].
func (f *File) Load(context.Context) (eventstore.Mark, bool, error) {
	return f.last.Mark, f.last.Sequence > 0, nil
}

// Doubt implements [eventstore.Doubter].
func (f *File) Doubt() string { return f.doubt }

// Store implements [eventstore.Keeper].
func (f *File) Store(_ context.Context, mark eventstore.Mark) error {
	f.doubt = "" // The log has begun a new epoch for it, which the mark is of.
	if f.copied {
		file, err := os.OpenFile(filepath.Join(f.dir, originName), os.O_RDWR, 0o600)
		if err == nil {
			err = errors.Join(writeAt(file, f.origin), file.Close())
		}
		if err != nil {
			return fmt.Errorf("mark the folder of the log: %w", err)
		}
		f.copied = false
	}
	return f.write(f.content(mark))
}

// Close notes that the log was closed in an orderly way. It is called after the server of
// the log has ended, which leaves its last writes to the system: Close waits until they
// are on the disk. When ctx ends before, the log counts as one that is in use, as it does
// while there is a doubt.
func (f *File) Close(ctx context.Context) error {
	if f.doubt != "" {
		return nil // The next start begins the new epoch.
	}
	synced := make(chan error, 1)
	go func() { synced <- syncFiles(f.dir) }() // ends with the system call
	select {
	case err := <-synced:
		if err != nil {
			return fmt.Errorf("write the log to disk: %w", err)
		}
	case <-ctx.Done():
		return fmt.Errorf("write the log to disk: %w", context.Cause(ctx))
	}
	last := f.content(f.last.Mark)
	last.Closed = true
	return f.write(last)
}

// write replaces the file, and syncs it and the folder.
func (f *File) write(next content) error {
	raw, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write the high-water mark: %w", err)
	}
	path := filepath.Join(f.dir, Name)
	if err := wholefile.WriteBytes(path, 0o600, raw); err != nil {
		return fmt.Errorf("write the high-water mark: %w", err)
	}
	f.last = next
	return nil
}
