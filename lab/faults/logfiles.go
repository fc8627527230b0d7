package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/letswriteabook/realtime/lab/processes"
)

// Operations of a fault on the files of the log, without the knowledge of the servers.

// keepers returns the processes that keep the log: the NATS servers or, without any,
// the only gateway.
func (t *Trial) keepers() []*processes.Process {
	if t.Lab.Nodes() == 0 {
		return t.Gateways[:1]
	}
	var all []*processes.Process
	for n := range t.Lab.Nodes() {
		all = append(all, t.Lab.NATS(n))
	}
	return all
}

// startAll starts processes, and returns when all of them serve. A node of a cluster may
// need another node for that.
func startAll(ctx context.Context, processes []*processes.Process) error {
	for _, p := range processes {
		if err := p.Launch(); err != nil {
			return err
		}
	}
	for _, p := range processes {
		if err := p.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// copyFolders copies the folders of processes at one moment, as a snapshot of their volumes
// would. It pauses the processes meanwhile. It returns the copies.
func (t *Trial) copyFolders(processes []*processes.Process) (copies []string, err error) {
	for _, p := range processes {
		if err := p.Pause(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, p.Resume()) }()
	}
	for _, p := range processes {
		copied := filepath.Join(t.dir, "copy-of-"+p.Name())
		if err := os.CopyFS(copied, os.DirFS(t.Lab.Folder(p))); err != nil {
			return nil, fmt.Errorf("copy the folder of %s: %w", p.Name(), err)
		}
		copies = append(copies, copied)
	}
	return copies, nil
}

// replaceFolder replaces the folder of a stopped process by a copy, as an operator does who
// copies a folder back.
func (t *Trial) replaceFolder(p *processes.Process, copied string) error {
	folder := t.Lab.Folder(p)
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("put back the folder of %s: %w", p.Name(), err)
	}
	if err := os.Rename(copied, folder); err != nil {
		return fmt.Errorf("put back the folder of %s: %w", p.Name(), err)
	}
	return nil
}

// rewindFolder restores the content that the files of a stopped process had in a copy, as a
// snapshot of the volume would: a file that is in both keeps its identity.
func (t *Trial) rewindFolder(p *processes.Process, copied string) error {
	folder := t.Lab.Folder(p)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(copied, name)); errors.Is(err, fs.ErrNotExist) {
			return os.Remove(path)
		}
		return nil
	})
	if err == nil {
		err = filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(copied, path)
			if err != nil {
				return err
			}
			if entry.IsDir() {
				return os.MkdirAll(filepath.Join(folder, name), 0o755)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(folder, name), content, 0o600) // truncates a file that is there
		})
	}
	if err != nil {
		return fmt.Errorf("put back the volume of %s: %w", p.Name(), err)
	}
	return nil
}

// blocks returns the files with the events in the folder of a process, in order.
func (t *Trial) blocks(p *processes.Process) ([]string, error) {
	var all []string
	err := filepath.WalkDir(t.Lab.Folder(p), func(path string, entry fs.DirEntry, err error) error {
		folder := filepath.Join("streams", processes.EventStream, "msgs")
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".blk") && strings.HasSuffix(filepath.Dir(path), folder) {
			all = append(all, path)
		}
		return err
	})
	if err == nil && len(all) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("look for the blocks of %s: %w", p.Name(), err)
	}
	slices.Sort(all)
	return all, nil
}

// flip changes one bit of the first occurrence of text in the blocks of a process.
func (t *Trial) flip(p *processes.Process, text string) error {
	blocks, err := t.blocks(p)
	if err != nil {
		return err
	}
	for _, path := range blocks {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if at := bytes.Index(content, []byte(text)); at >= 0 {
			content[at+len(text)/2] ^= 1
			return os.WriteFile(path, content, 0o600)
		}
	}
	return fmt.Errorf("no block of %s has %q", p.Name(), text)
}

// inBlocks reports whether the blocks of a process contain text.
func (t *Trial) inBlocks(p *processes.Process, text string) (bool, error) {
	blocks, err := t.blocks(p)
	if err != nil {
		return false, err
	}
	for _, path := range blocks {
		content, err := os.ReadFile(path)
		if err != nil {
			return false, err
		}
		if bytes.Contains(content, []byte(text)) {
			return true, nil
		}
	}
	return false, nil
}

// flipMiddle changes one bit in the middle of a file.
func flipMiddle(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	return os.WriteFile(path, content, 0o600)
}

// cutBlock cuts off the end of a file, as a file system that has lost the last writes does.
func cutBlock(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()*6/10)
}
