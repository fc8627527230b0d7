package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/freeaddr"
)

// portAttempts bounds how often a new port is chosen because another process has taken the
// chosen one.
const portAttempts = 10

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = time.Minute

// errPortTaken is returned if another process has taken the port.
var errPortTaken = errors.New("port is taken")

// Redis is one redis-server process with persistence off.
//
// Its methods must be called on the goroutine of the test: they fail the test if they do
// not succeed.
type Redis struct {
	// Addr is the loopback host and port, the same across restarts.
	Addr string

	t      testing.TB
	path   string
	dir    string
	before []string // arguments that have to stand first
	args   []string

	// process is nil while the server is down.
	process *process
}

// process is one run of the server.
type process struct {
	cmd *exec.Cmd
	// ended is closed when the process has ended and its output is read.
	ended chan struct{}
}

// StartRedis starts a redis-server, with further arguments, that lives until the test
// ends. The test is skipped, or fails when CI=true, if the program is not installed.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return startRedis(t, &Redis{args: append([]string{"--save", "", "--appendonly", "no"}, args...)})
}

func startRedis(t testing.TB, r *Redis) *Redis {
	t.Helper()
	r.t, r.path, r.dir = t, Program(t, "redis-server"), t.TempDir()
	t.Cleanup(r.Kill)
	var err error
	for range portAttempts {
		r.Addr = FreeAddr(t)
		if err = r.start(); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		t.Fatalf("start redis-server on %s: %v", r.Addr, err)
	}
	return r
}

// StartSentinel starts a redis-server as a Sentinel that monitors no server.
func StartSentinel(t testing.TB) *Redis {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf") // Sentinel writes to it
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return startRedis(t, &Redis{before: []string{file, "--sentinel"}})
}

// URL returns the redis:// URL of the server.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Client returns a new client of the server. It is closed when the test ends.
func (r *Redis) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: r.Addr})
	r.t.Cleanup(func() { _ = client.Close() })
	return client
}

// Stop ends the server with SIGTERM, as an operator would, and waits for it. It does
// nothing if the server is stopped.
func (r *Redis) Stop() { r.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL, even if it is paused, and waits for it. It does
// nothing if the server is stopped.
func (r *Redis) Kill() { r.end(syscall.SIGKILL) }

// Restart starts the server again on the same address. It kills the server first if it
// runs.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	if err := r.start(); err != nil {
		r.t.Fatalf("restart redis-server on %s: %v", r.Addr, err)
	}
}

// Pause stops the process with SIGSTOP: its connections stay open and accept
// bytes, and nothing answers.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume continues a paused process.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(signal syscall.Signal) {
	r.t.Helper()
	if r.process == nil {
		r.t.Fatalf("send %v to redis-server: it is down", signal)
	}
	if err := r.process.cmd.Process.Signal(signal); err != nil {
		r.t.Fatalf("send %v to redis-server: %v", signal, err)
	}
}

func (r *Redis) end(signal syscall.Signal) {
	if r.process == nil {
		return
	}
	// After an error the process has ended already.
	_ = r.process.cmd.Process.Signal(signal)
	<-r.process.ended
	r.process = nil
}

// start runs the server and returns when it accepts connections.
func (r *Redis) start() error {
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return fmt.Errorf("split address: %w", err)
	}
	args := slices.Concat(r.before, []string{"--bind", "127.0.0.1", "--port", port, "--dir", r.dir, "--daemonize", "no", "--logfile", ""}, r.args)
	cmd := exec.Command(r.path, args...)
	output, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open output: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start process: %w", err)
	}
	r.process = &process{cmd: cmd, ended: make(chan struct{})}
	outcome := make(chan error, 1)
	// The goroutine ends with the process, whose output it reads; Kill ends the process.
	go r.process.watch(output, outcome)

	select {
	case err = <-outcome:
	case <-time.After(startTimeout):
		err = fmt.Errorf("not ready after %s", startTimeout)
	}
	if err != nil {
		r.Kill()
	}
	return err
}

// watch reports once whether the server has started, and closes ended when it has stopped.
func (p *process) watch(output io.Reader, outcome chan<- error) {
	var once sync.Once
	report := func(err error) { once.Do(func() { outcome <- err }) }
	var last string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "Ready to accept connections"), strings.Contains(line, "Sentinel ID is"):
			report(nil)
		case strings.Contains(line, "Address already in use"):
			report(errPortTaken)
		case line != "":
			last = line
		}
	}
	err := p.cmd.Wait()
	report(fmt.Errorf("ended before it was ready (%v): %s", err, last))
	close(p.ended)
}

// FreeAddr returns a loopback address that stays free while a server that will be restarted
// on it is stopped.
func FreeAddr(t testing.TB) string {
	t.Helper()
	address, err := freeaddr.New()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
