package volume

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// sync makes the content of a file of live durable. The caller holds v.mu.
func (v *Volume) sync(path string) error {
	number, err := inode(path)
	if err != nil {
		return err
	}
	live, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = live.Close() }()
	return v.syncFrom(v.content(number), live)
}

// syncFrom makes the content of an open file durable: it copies what may have changed. The
// caller holds v.mu.
func (v *Volume) syncFrom(c *content, live *os.File) (err error) {
	info, err := live.Stat()
	if err != nil || !c.unsynced {
		return err
	}
	to, err := os.OpenFile(v.durablePath(c), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closed := to.Close(); err == nil {
			err = closed
		}
	}()
	size := info.Size()
	low, high := min(c.low, size), min(c.high, size)
	if c.high == 0 { // A file that this volume has found, and not seen written.
		high = size
	}
	if err := to.Truncate(size); err != nil {
		return err
	}
	if _, err := io.Copy(io.NewOffsetWriter(to, low), io.NewSectionReader(live, low, high-low)); err != nil {
		return err
	}
	*c = content{number: c.number}
	return nil
}

// syncNames makes all names durable. The caller holds v.mu.
func (v *Volume) syncNames() error {
	found := map[string]name{}
	err := walk(v.live, func(path string, info fs.FileInfo) error {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !info.IsDir() {
			found[path] = name{mode: info.Mode(), content: v.content(stat.Ino)}
		} else {
			found[path] = name{mode: info.Mode()}
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.names, v.renamed = found, false
	return nil
}
