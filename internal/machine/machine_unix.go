//go:build unix && !openbsd && !netbsd && !solaris && !aix

package machine

import (
	"syscall"
	"time"
)

// FileLimit returns how many files this process may open.
func FileLimit() (limit uint64, known bool) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, false
	}
	return uint64(files.Cur), true // the Go runtime has raised the soft limit to the hard one
}

// DiskSpace returns the free and the total space of the file system that holds dir, in
// bytes.
func DiskSpace(dir string) (free, total uint64, known bool) {
	var system syscall.Statfs_t
	if err := syscall.Statfs(dir, &system); err != nil {
		return 0, 0, false
	}
	block := uint64(system.Bsize)
	return uint64(system.Bavail) * block, system.Blocks * block, true
}

// processorTime returns how much processor time this process has used.
func processorTime() (used time.Duration, known bool) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, false
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), true
}
