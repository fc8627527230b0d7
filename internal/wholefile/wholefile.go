package wholefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// suffix is what the name of a file ends with that is not whole yet. One that a crash has
// left is overwritten by the next [Write].
const suffix = ".new"

// Write replaces the file at path with what write writes, and returns once it and its name
// are on the disk. On an error before the file is replaced, the old content stays. One
// caller at a time may write a path.
func Write(path string, mode fs.FileMode, write func(io.Writer) error) error {
	unfinished := path + suffix
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if err = write(file); err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(unfinished, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return syncFolder(filepath.Dir(path))
}

// WriteBytes is [Write] of content that is in memory.
func WriteBytes(path string, mode fs.FileMode, content []byte) error {
	return Write(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// syncFolder writes the names in a folder down to the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
