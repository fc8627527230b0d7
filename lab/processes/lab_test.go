package processes_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/processes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// programs builds what a lab needs, or skips the test.
func programs(t *testing.T) processes.Programs {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the programs")
	}
	built, err := processes.Build(t.Context(), ".", t.TempDir())
	if errors.Is(err, processes.ErrNoProgram) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return built
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A whole system: a cluster of three, a gateway on it, everything killed and
// paused once, and nothing left behind.
func TestCluster(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "lab")
	l, err := processes.New(processes.Config{Programs: programs(t), Dir: dir, Nodes: 3, Sync: "10s", Mongo: true})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	t.Cleanup(func() {
		if !closed {
			_ = l.Close()
		}
	})
	if err := l.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	gateway, err := l.Gateway(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(within(t)); err != nil {
		t.Fatalf("%v\n%s", err, gateway.LastWords())
	}
	if err := gateway.Start(within(t)); !errors.Is(err, processes.ErrRunning) {
		t.Errorf("a second start: %v", err)
	}

	first, err := l.AwaitLeader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	l.NATS(first).Kill()
	second, err := l.AwaitLeader(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Errorf("node %d leads after its death", first)
	}
	if err := l.NATS(first).Start(within(t)); err != nil {
		t.Fatal(err)
	}

	address := gateway.Addr()
	gateway.Kill()
	gateway.Kill() // it is gone already
	if gateway.Running() {
		t.Error("runs after its death")
	}
	if err := gateway.Pause(); !errors.Is(err, processes.ErrNotRunning) {
		t.Errorf("pause of the dead: %v", err)
	}
	if err := gateway.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	if gateway.Addr() != address || gateway.Lives() != 2 {
		t.Errorf("%s in life %d, want %s in life 2", gateway.Addr(), gateway.Lives(), address)
	}
	if err := gateway.Stop(within(t)); err != nil {
		t.Error(err)
	}

	if err := l.Redis().Pause(); err != nil {
		t.Fatal(err)
	}
	closed = true
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range []*processes.Process{l.Redis(), l.Mongo(), l.NATS(0), l.NATS(1), l.NATS(2)} {
		if _, err := net.Dial("tcp", p.Addr()); err == nil || p.Running() {
			t.Errorf("%s is there after the end", p.Name())
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left behind: %v", err)
	}
}

// A process that cannot serve says why.
func TestStartTellsTheLastWords(t *testing.T) {
	t.Parallel()
	l, err := processes.New(processes.Config{Programs: programs(t), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	gateway, err := l.Gateway(map[string]string{"STREAM_REPLICAS": "2"})
	if err != nil {
		t.Fatal(err)
	}
	err = gateway.Start(within(t))
	if !errors.Is(err, processes.ErrEnded) || !strings.Contains(err.Error(), "STREAM_REPLICAS") {
		t.Errorf("start: %v", err)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	some := processes.Programs{Realtime: "x", NATS: "x", Redis: "x"}
	for field, cfg := range map[string]processes.Config{
		"Programs": {Dir: "x"},
		"Mongo":    {Programs: some, Dir: "x", Mongo: true},
		"Dir":      {Programs: some},
		"Nodes":    {Programs: some, Dir: "x", Nodes: 4},
		"Replicas": {Programs: some, Dir: "x", Nodes: 3, Replicas: 2},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without %s: %v", field, err)
		}
	}
}
