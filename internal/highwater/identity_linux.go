package highwater

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// identityOf tells a file from its copy: its inode and, where the file system has it,
// the time of its birth, because inodes are used again.
func identityOf(file *os.File) string {
	var found unix.Statx_t
	err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &found)
	if err != nil {
		return ""
	}
	if found.Mask&unix.STATX_BTIME == 0 {
		return fmt.Sprintf("%d", found.Ino)
	}
	return fmt.Sprintf("%d-%d.%09d", found.Ino, found.Btime.Sec, found.Btime.Nsec)
}

// syncFiles waits until everything that was written to the file system of a folder is on
// the disk.
func syncFiles(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(folder.Fd())), folder.Close())
}

// bootID returns the id of this boot of the machine, empty where it is not told.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
