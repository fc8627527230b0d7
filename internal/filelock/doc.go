// Package filelock takes a file for one process at a time. The kernel gives it
// back with the process, however that ends. Where there is no flock, as outside
// Unix, nothing is held, and two processes on one folder are the operator's to
// prevent.
package filelock

import "errors"

// ErrLocked is returned for a file that another process has taken. A retry helps
// once that has ended.
var ErrLocked = errors.New("taken by another process")
