//go:build !unix || openbsd || netbsd || solaris || aix

package server

// fileLimit is not known here.
func fileLimit() (limit uint64, known bool) { return 0, false }

// diskSpace is not known here.
func diskSpace(string) (free, total uint64, known bool) { return 0, 0, false }
