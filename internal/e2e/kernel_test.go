package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What the kernel knows of a gateway, for benchmarks that hold it against what
// the gateway says of itself. Linux only.

// clockTick is the unit of times in /proc (USER_HZ), which is 100 on every Linux
// that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu returns the processor time that the gateway has used.
func (g *gateway) cpu() time.Duration {
	g.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.process.Process.Pid))
	if err != nil {
		g.t.Skipf("SKIPPED, NOTHING WAS MEASURED: %v", err)
	}
	// The name in parentheses may have spaces; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			g.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// memory returns the resident memory of the gateway, in bytes.
func (g *gateway) memory() float64 {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	if err != nil {
		g.t.Skipf("SKIPPED, NOTHING WAS MEASURED: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseFloat(strings.Fields(kilobytes)[0], 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return n * 1024
		}
	}
	g.t.Fatal("no VmRSS in the status of the process")
	return 0
}

// established counts the connections that the kernel has established with the
// gateway's port, on the gateway's side.
func established(t testing.TB, port string) (count int) {
	t.Helper()
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf(":%04X", number)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			t.Skipf("SKIPPED, NOTHING WAS MEASURED: %v", err)
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			const stateEstablished = "01"
			fields := strings.Fields(lines.Text())
			if len(fields) > 3 && strings.HasSuffix(fields[1], local) && fields[3] == stateEstablished {
				count++
			}
		}
		_ = file.Close()
	}
	return count
}
