package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Volume is a mounted folder. Its methods must not be called concurrently.
type Volume struct {
	mountpoint string
	// live has the files as programs see them, durable the content that was synced: one
	// file for each [content], with its number as its name.
	live, durable string
	server        *fuse.Server

	mu sync.Mutex // guards the fields below, and what is written to live and durable
	// contents are those of the files in live, by inode.
	contents map[uint64]*content
	// names are the durable names, by path relative to the root.
	names map[string]name
	// renamed is true if names have changed since they were made durable.
	renamed bool
	// next numbers the contents.
	next int
}

// name is what a durable path names.
type name struct {
	mode fs.FileMode
	// content is nil for a directory.
	content *content
}

// content is the content of one file.
type content struct {
	number int
	// The bytes from low up to high may differ from what is durable; also the size, while
	// unsynced is true.
	unsynced  bool
	low, high int64
}

// change notes that the bytes from low up to high have changed.
func (c *content) change(low, high int64) {
	if !c.unsynced {
		c.unsynced, c.low, c.high = true, low, high
		return
	}
	c.low, c.high = min(c.low, low), max(c.high, high)
}

// Mount mounts a volume over an empty folder, which it creates, and keeps its files in
// another one. The error matches [ErrNoVolume] if this is not possible on this machine.
func Mount(mountpoint, keptIn string) (*Volume, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs root", ErrNoVolume)
	}
	v := &Volume{mountpoint: mountpoint, live: filepath.Join(keptIn, "live"), durable: filepath.Join(keptIn, "durable")}
	for _, folder := range []string{mountpoint, v.live, v.durable} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, fmt.Errorf("volume: %w", err)
		}
	}
	v.begin()
	if err := v.mount(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoVolume, err)
	}
	return v, nil
}

// begin sets the records of an empty volume.
func (v *Volume) begin() {
	v.contents, v.names, v.renamed, v.next = map[uint64]*content{}, map[string]name{}, false, 0
}

func (v *Volume) mount() error {
	var stat syscall.Stat_t
	if err := syscall.Stat(v.live, &stat); err != nil {
		return err
	}
	data := &fusefs.LoopbackRoot{Path: v.live, Dev: stat.Dev}
	root := &node{LoopbackNode: fusefs.LoopbackNode{RootData: data}, volume: v}
	data.RootNode = root
	var err error
	v.server, err = fusefs.Mount(v.mountpoint, root, &fusefs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "volume", Name: "volume"},
	})
	return err
}

// Close unmounts the volume. No process may use it any more.
func (v *Volume) Close() error {
	if err := v.server.Unmount(); err != nil {
		return fmt.Errorf("volume: unmount %s: %w", v.mountpoint, err)
	}
	return nil
}

// Loss is what a loss of power took.
type Loss struct {
	// Files is how many files lost something, their names included; Bytes is how much shorter
	// they are.
	Files int
	Bytes int64
}

// LosePower puts the volume back to what was durable. No process may use it meanwhile: the
// callers kill them before.
func (v *Volume) LosePower() (Loss, error) {
	if err := v.Close(); err != nil {
		return Loss{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	loss, err := v.lose()
	if err == nil {
		err = v.mount()
	}
	if err != nil {
		return Loss{}, fmt.Errorf("volume: lose power: %w", err)
	}
	return loss, nil
}

// lose makes the durable files the live ones, and all of them durable.
func (v *Volume) lose() (Loss, error) {
	before, err := sizes(v.live)
	if err != nil {
		return Loss{}, err
	}
	// In place, because a file that is there before and after keeps its inode.
	if err := v.removeUnnamed(); err != nil {
		return Loss{}, err
	}
	for path, found := range v.names {
		to := filepath.Join(v.live, path)
		if found.content == nil {
			err = os.MkdirAll(to, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
			err = v.restore(found, to)
		}
		if err != nil {
			return Loss{}, err
		}
	}
	if err := errors.Join(os.RemoveAll(v.durable), os.Mkdir(v.durable, 0o755)); err != nil {
		return Loss{}, err
	}
	v.begin()
	after, err := sizes(v.live)
	if err != nil {
		return Loss{}, err
	}
	var loss Loss
	for path, size := range before {
		left, there := after[path]
		if !there || left != size {
			loss.Files++
			loss.Bytes += max(size-left, 0)
		}
	}
	for path := range after {
		if err := v.sync(filepath.Join(v.live, path)); err != nil {
			return Loss{}, err
		}
	}
	return loss, v.syncNames()
}

// removeUnnamed removes what has no durable name.
func (v *Volume) removeUnnamed() error {
	var unnamed []string
	err := walk(v.live, func(path string, info fs.FileInfo) error {
		if found, there := v.names[path]; !there || (found.content == nil) != info.IsDir() {
			unnamed = append(unnamed, filepath.Join(v.live, path))
		}
		return nil
	})
	for _, path := range unnamed {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// restore writes a durable file.
func (v *Volume) restore(found name, to string) error {
	held, err := os.ReadFile(v.durablePath(found.content))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(to, held, found.mode.Perm())
}

// sizes returns the sizes of the files below a folder, by relative path.
func sizes(folder string) (map[string]int64, error) {
	found := map[string]int64{}
	err := walk(folder, func(path string, info fs.FileInfo) error {
		if !info.IsDir() {
			found[path] = info.Size()
		}
		return nil
	})
	return found, err
}

// walk visits everything below a folder, with relative paths.
func walk(folder string, visit func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		return visit(relative, info)
	})
}

func inode(path string) (uint64, error) {
	var stat syscall.Stat_t
	err := syscall.Lstat(path, &stat)
	return stat.Ino, err
}

func (v *Volume) durablePath(c *content) string {
	return filepath.Join(v.durable, strconv.Itoa(c.number))
}

// content returns the content of an inode of live. The caller holds v.mu.
func (v *Volume) content(inode uint64) *content {
	found := v.contents[inode]
	if found == nil {
		v.next++
		found = &content{number: v.next, unsynced: true}
		v.contents[inode] = found
	}
	return found
}

// Unsynced returns how many bytes of the files whose names end with suffix are not durable.
func (v *Volume) Unsynced(suffix string) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	sum := int64(0)
	err := walk(v.live, func(path string, info fs.FileInfo) error {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || info.IsDir() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		if c := v.content(stat.Ino); c.unsynced {
			sum += max(min(c.high, info.Size())-c.low, 0)
		}
		return nil
	})
	return sum, err
}
