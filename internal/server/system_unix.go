//go:build unix && !openbsd && !netbsd && !solaris && !aix

package server

import "syscall"

// fileLimit returns how many files a process may open.
func fileLimit() (limit uint64, known bool) {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, false
	}
	return uint64(files.Cur), true // the runtime has raised it as far as it goes
}

// diskSpace returns what the file system of a folder has, in bytes.
func diskSpace(dir string) (free, total uint64, known bool) {
	var system syscall.Statfs_t
	if err := syscall.Statfs(dir, &system); err != nil {
		return 0, 0, false
	}
	block := uint64(system.Bsize)
	return uint64(system.Bavail) * block, system.Blocks * block, true
}
