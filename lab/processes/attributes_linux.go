package processes

import "syscall"

// attributes gives a process its own group, so that a Ctrl-C at the terminal is
// for the drill alone, and has it killed when this process dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// detached gives a process its own group, and lets it outlive this one.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
