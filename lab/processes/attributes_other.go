//go:build !linux

package processes

import "syscall"

// attributes has nothing to add.
func attributes() *syscall.SysProcAttr { return nil }

// detached has nothing to add either.
func detached() *syscall.SysProcAttr { return nil }
