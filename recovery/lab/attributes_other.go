//go:build !linux

package lab

import "syscall"

// attributes has nothing to add.
func attributes() *syscall.SysProcAttr { return nil }
