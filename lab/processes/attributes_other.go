//go:build !linux

package processes

import "syscall"

// attributes sets nothing on this system.
func attributes() *syscall.SysProcAttr { return nil }

// detached sets nothing on this system.
func detached() *syscall.SysProcAttr { return nil }
