package natsserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// CheckFolder returns why [Start] could not use a data folder: the folder, or the files
// that an earlier server left in it, cannot be written. A folder that does not exist has to
// be one that can be created. CheckFolder leaves nothing behind, and may be called while
// a server runs on the folder.
func CheckFolder(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return creatable(dir)
	case err != nil:
		return fmt.Errorf("look at the folder: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is a file, and not a folder", dir)
	}
	for _, written := range []string{dir, filepath.Join(dir, Folder)} {
		if err := CheckWritable(written); err != nil && !(written != dir && errors.Is(err, os.ErrNotExist)) {
			return err
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("a file of an earlier start cannot be written: %w", err)
	}
	return lock.Close()
}

// CheckWritable returns why no file can be created in a folder that exists. It leaves
// nothing behind.
func CheckWritable(dir string) error {
	if err := probeWritable(dir, 0); err != nil {
		return fmt.Errorf("the folder %s cannot be written: %w", dir, cause(err))
	}
	return nil
}

// creatable returns why a folder that does not exist cannot be created: its nearest parent
// that exists is a file, or cannot be written.
func creatable(dir string) error {
	parent := filepath.Dir(dir)
	info, err := os.Stat(parent)
	for err != nil && parent != filepath.Dir(parent) {
		parent = filepath.Dir(parent)
		info, err = os.Stat(parent)
	}
	if err == nil && !info.IsDir() {
		return fmt.Errorf("the folder %s cannot be created: %s is a file", dir, parent)
	}
	if err == nil {
		err = probeWritable(parent, 0)
	}
	if err != nil {
		return fmt.Errorf("the folder %s cannot be created in %s: %w", dir, parent, cause(err))
	}
	return nil
}

// cause returns an error without the name of the file that a probe would have made.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
