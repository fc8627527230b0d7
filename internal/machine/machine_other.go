//go:build !unix || openbsd || netbsd || solaris || aix

package machine

import "time"

// FileLimit reports that the limit is not known on this system.
func FileLimit() (limit uint64, known bool) { return 0, false }

// DiskSpace reports that the space is not known on this system.
func DiskSpace(string) (free, total uint64, known bool) { return 0, 0, false }

// processorTime reports that the time is not known on this system.
func processorTime() (used time.Duration, known bool) { return 0, false }
