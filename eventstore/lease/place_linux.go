package lease

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ownPlace names where the ids of processes that this process sees are valid: the boot of
// the machine and the PID namespace. Containers can share the name of a host, and not these.
// It is empty where the system does not say.
func ownPlace() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// startOf returns when a process of this place started, in clock ticks since the boot; 0
// when the system does not say.
func startOf(pid int) uint64 {
	// Field 22 of proc_pid_stat(5). The name of the program, field 2, can contain spaces and
	// brackets.
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// ended reports whether a process of this place, which started at a time that startOf has
// returned, does not exist any more. Another process can have its id.
func ended(pid int, started uint64) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	now := startOf(pid)
	return started != 0 && now != 0 && now != started
}
