package freeaddr_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/letswriteabook/realtime/internal/freeaddr"
)

// childEnv makes this test binary a process that prints addresses until its input ends.
const childEnv = "FREEADDR_TEST_CHILD"

const each = 200

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	for range each {
		address, err := freeaddr.New()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(address)
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// Processes that run at the same time get different ports, all of them below those that
// Linux gives to outgoing connections, although nobody listens on them yet.
func TestProcessesGetDifferentPorts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seen := make(map[string]int)
	for process := range 8 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+dir)
		child.Stderr = os.Stderr
		input, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = input.Close()
			if err := child.Wait(); err != nil {
				t.Errorf("process %d: %v", process, err)
			}
		})
		lines := bufio.NewScanner(output)
		for range each {
			if !lines.Scan() {
				t.Fatalf("process %d ends early: %v", process, lines.Err())
			}
			address := lines.Text()
			if other, taken := seen[address]; taken {
				t.Errorf("processes %d and %d both got %s", other, process, address)
			}
			seen[address] = process
			_, port, err := net.SplitHostPort(address)
			if n, _ := strconv.Atoi(port); err != nil || n < 12000 || n >= 31000 {
				t.Errorf("port %s: %v", port, err)
			}
		}
	}
}

// A process that needs more addresses than its share has ports goes on.
func TestManyAddresses(t *testing.T) {
	t.Parallel()
	for range 3000 {
		if _, err := freeaddr.New(); err != nil {
			t.Fatal(err)
		}
	}
}
