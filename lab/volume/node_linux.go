package volume

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory. It passes all operations on to the file in the live folder,
// and notes what they change.
type node struct {
	fusefs.LoopbackNode
	volume *Volume
}

// WrapChild returns the node in place of the plain one of a new child.
func (n *node) WrapChild(context.Context, fusefs.InodeEmbedder) fusefs.InodeEmbedder {
	return &node{LoopbackNode: fusefs.LoopbackNode{RootData: n.RootData}, volume: n.volume}
}

// handle is an open file. It passes on what the embedded ones can do, and hides that the
// kernel could write to the live file by itself.
type handle struct {
	fusefs.FileReader
	fusefs.FileWriter
	fusefs.FileFlusher
	fusefs.FileReleaser
	fusefs.FileGetattrer
	fusefs.FileSetattrer
	content *content
	// file is another descriptor of the live file, for copying it.
	file *os.File
	// synced is true if each write is synced, as O_SYNC and O_DSYNC ask for.
	synced bool
}

func (h *handle) Release(ctx context.Context) syscall.Errno {
	_ = h.file.Close() // It was read from only.
	return h.FileReleaser.Release(ctx)
}

// open returns the handle of a file that was just opened.
func (n *node) open(path string, opened fusefs.FileHandle, flags uint32) (fusefs.FileHandle, syscall.Errno) {
	file, ok := opened.(*fusefs.LoopbackFile)
	if !ok {
		return nil, syscall.ENOTSUP
	}
	reader, err := os.Open(path)
	if err != nil {
		return nil, fusefs.ToErrno(err)
	}
	number, err := inode(path)
	if err != nil {
		return nil, fusefs.ToErrno(err)
	}
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	held := n.volume.content(number)
	if flags&syscall.O_TRUNC != 0 {
		held.change(0, 0)
		held.high = max(held.high, 1) // The size alone has changed.
	}
	return &handle{
		FileReader: file, FileWriter: file, FileFlusher: file, FileReleaser: file, FileGetattrer: file, FileSetattrer: file,
		content: held, file: reader, synced: flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0,
	}, 0
}

func (n *node) path() string {
	return filepath.Join(n.volume.live, n.Path(n.RootData.RootNode.EmbeddedInode()))
}

func (n *node) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	opened, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	file, errno := n.open(n.path(), opened, flags)
	return file, 0, errno
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	path := filepath.Join(n.path(), name)
	n.volume.mu.Lock()
	_, err := os.Lstat(path)
	made, opened, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno == 0 && err != nil { // The inode of a removed file may be used again.
		delete(n.volume.contents, out.Attr.Ino)
	}
	n.volume.renamed = true
	n.volume.mu.Unlock()
	if errno != 0 {
		return nil, nil, 0, errno
	}
	file, errno := n.open(path, opened, flags)
	return made, file, 0, errno
}

func (n *node) Write(ctx context.Context, file fusefs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	h := file.(*handle)
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	written, errno := h.FileWriter.Write(ctx, data, offset)
	h.content.change(offset, offset+int64(written))
	if errno == 0 && h.synced {
		errno = n.volume.syncAll(h)
	}
	return written, errno
}

func (n *node) Fsync(_ context.Context, file fusefs.FileHandle, _ uint32) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	h, _ := file.(*handle)
	return n.volume.syncAll(h)
}

// syncAll makes the content of a file durable, unless it is nil, and all names. The caller
// holds v.mu.
func (v *Volume) syncAll(h *handle) syscall.Errno {
	if h != nil {
		if err := v.syncFrom(h.content, h.file); err != nil {
			return fusefs.ToErrno(err)
		}
	}
	if !v.renamed {
		return 0
	}
	return fusefs.ToErrno(v.syncNames())
}

func (n *node) Setattr(ctx context.Context, file fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, truncates := in.GetSize()
	if !truncates {
		return n.LoopbackNode.Setattr(ctx, file, in, out)
	}
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	var stat syscall.Stat_t
	if err := syscall.Stat(n.path(), &stat); err != nil {
		return fusefs.ToErrno(err)
	}
	held := n.volume.content(stat.Ino)
	held.change(min(int64(size), stat.Size), max(int64(size), stat.Size, 1))
	return n.LoopbackNode.Setattr(ctx, file, in, out)
}

// names runs an operation that changes names.
func (n *node) names(operation func() syscall.Errno) syscall.Errno {
	n.volume.mu.Lock()
	defer n.volume.mu.Unlock()
	n.volume.renamed = true
	return operation()
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (made *fusefs.Inode, errno syscall.Errno) {
	errno = n.names(func() syscall.Errno {
		made, errno = n.LoopbackNode.Mkdir(ctx, name, mode, out)
		return errno
	})
	return made, errno
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.names(func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) })
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.names(func() syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) })
}

func (n *node) Rename(ctx context.Context, name string, parent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := parent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	return n.names(func() syscall.Errno { return n.LoopbackNode.Rename(ctx, name, &to.LoopbackNode, newName, flags) })
}

func (n *node) Link(ctx context.Context, target fusefs.InodeEmbedder, name string, out *fuse.EntryOut) (made *fusefs.Inode, errno syscall.Errno) {
	from, ok := target.(*node)
	if !ok {
		return nil, syscall.EXDEV
	}
	errno = n.names(func() syscall.Errno {
		made, errno = n.LoopbackNode.Link(ctx, &from.LoopbackNode, name, out)
		return errno
	})
	return made, errno
}

// directory is an open directory.
type directory struct {
	fusefs.FileReaddirenter
	fusefs.FileReleasedirer
	volume *Volume
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	opened, _, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	entries, reads := opened.(fusefs.FileReaddirenter)
	release, closes := opened.(fusefs.FileReleasedirer)
	if !reads || !closes {
		return nil, 0, syscall.ENOTSUP
	}
	return &directory{FileReaddirenter: entries, FileReleasedirer: release, volume: n.volume}, 0, 0
}

func (d *directory) Fsyncdir(context.Context, uint32) syscall.Errno {
	d.volume.mu.Lock()
	defer d.volume.mu.Unlock()
	return d.volume.syncAll(nil)
}
