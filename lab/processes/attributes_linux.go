package processes

import "syscall"

// attributes puts a process into its own group, so that a Ctrl-C at the terminal reaches
// only the drill, and makes the kernel kill it when this process dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// detached puts a process into its own group, and lets it outlive this process.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
