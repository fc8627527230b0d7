package highwater

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/letswriteabook/realtime/eventstore"
)

// Name is the name of the file in the folder of the log.
const Name = "highwater.json"

// originName is the name of the file whose identity tells a folder from its copy. It
// is written once.
const originName = "highwater.origin"

// content is the file.
type content struct {
	eventstore.Mark
	// Origin is the identity of the file originName, and Boot that of the boot of the
	// machine; empty where the system does not tell.
	Origin string `json:"origin,omitempty"`
	Boot   string `json:"boot,omitempty"`
	// Closed says that the log was closed in an orderly way after the mark.
	Closed bool `json:"closed"`
}

// File is the mark in one folder; it implements [eventstore.Keeper].
type File struct {
	dir    string
	origin string
	doubt  string
	found  bool
	last   content
}

// Open reads the mark in the folder, which must belong to this process. synced says
// that the log syncs each record before it acknowledges it.
func Open(dir string, synced bool) (*File, error) {
	f := &File{dir: dir}
	raw, err := os.ReadFile(filepath.Join(dir, Name))
	switch {
	case err == nil:
		f.found = json.Unmarshal(raw, &f.last) == nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the high-water mark: %w", err)
	}
	if f.origin, err = origin(filepath.Join(dir, originName)); err != nil {
		return nil, fmt.Errorf("mark the folder of the log: %w", err)
	}
	if f.found {
		f.doubt = f.last.doubt(f.origin, bootID(), synced)
	}
	return f, nil
}

// doubt returns why a folder with this mark may lack what its log has given out.
func (c content) doubt(origin, boot string, synced bool) string {
	switch {
	case c.Origin != "" && origin != "" && c.Origin != origin:
		return "the folder of the log is a copy, and may lack what came after it was copied"
	case !c.Closed && !synced && c.Boot != "" && boot != "" && c.Boot != boot:
		return "the machine went down while the log was in use and not synced; what was acknowledged last may be gone"
	}
	return ""
}

// origin returns the identity of the file at path, and makes the file if need be.
func origin(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	identity := identityOf(file)
	return identity, file.Close()
}

// Name implements [eventstore.Keeper].
func (f *File) Name() string { return "file " + Name }

// Load implements [eventstore.Keeper].
func (f *File) Load(context.Context) (eventstore.Mark, bool, error) { return f.last.Mark, f.found, nil }

// Doubt implements [eventstore.Doubter].
func (f *File) Doubt() string { return f.doubt }

// Store implements [eventstore.Keeper].
func (f *File) Store(_ context.Context, mark eventstore.Mark) error {
	f.doubt = "" // The log has begun a new epoch for it, which the mark is of.
	return f.write(content{Mark: mark, Origin: f.origin, Boot: bootID()})
}

// Close notes that the log was closed in an orderly way. It is called after the
// server of the log has ended.
func (f *File) Close() error {
	if !f.found {
		return nil // Nothing was ever stored.
	}
	last := f.last
	last.Closed, last.Origin, last.Boot = true, f.origin, bootID()
	return f.write(last)
}

// write replaces the file, and syncs it and the folder.
func (f *File) write(next content) error {
	raw, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write the high-water mark: %w", err)
	}
	path := filepath.Join(f.dir, Name)
	if err := replace(path, raw); err != nil {
		return fmt.Errorf("write the high-water mark: %w", err)
	}
	f.last, f.found = next, true
	return nil
}

func replace(path string, raw []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
