package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// settings are the environment of a gateway, on top of the defaults of
// [startGateway].
type settings map[string]string

// gateway is the server as a child process. Its methods are for the goroutine
// of the test.
type gateway struct {
	t    testing.TB
	port string
	env  settings

	process *exec.Cmd // nil while it is down
	output  *output   // of the life that runs, or ran last
}

// startGateway runs `realtime serve` on a free port and a fresh data folder,
// and waits until it is ready. The environment of the test is not passed on.
func startGateway(t testing.TB, env settings) *gateway {
	t.Helper()
	g := &gateway{t: t, port: "0", env: settings{"DATA_DIR": t.TempDir()}}
	for name, value := range env {
		g.env[name] = value
	}
	t.Cleanup(func() {
		if g.process != nil {
			g.stop()
		}
		if t.Failed() {
			t.Logf("the gateway's last words:\n%s", g.output.tail())
		}
	})
	g.start()
	return g
}

// start runs the program, on the port of its first life if it had one.
func (g *gateway) start() {
	g.t.Helper()
	environment := environ(g.env, settings{"PORT": g.port})
	g.output = &output{listening: make(chan string, 1)}
	g.process = exec.Command(realtime(g.t), "serve")
	g.process.Env = environment
	g.process.Stdout, g.process.Stderr = g.output, g.output
	if err := g.process.Start(); err != nil {
		g.process = nil
		g.t.Fatalf("start the gateway: %v", err)
	}
	select {
	case address := <-g.output.listening:
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			g.t.Fatalf("the gateway says that it listens on %q: %v", address, err)
		}
		g.port = port
	case <-time.After(patience):
		g.t.Fatalf("the gateway did not say in %s where it listens:\n%s", patience, g.output.tail())
	}
	eventually(g.t, "the gateway is ready", func() error {
		response, err := http.Get(g.url("/health/ready"))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(response.Body)
			return fmt.Errorf("ready answers %s: %s", response.Status, body)
		}
		return nil
	})
}

// kill ends the gateway as a crash does.
func (g *gateway) kill() {
	g.t.Helper()
	if err := g.process.Process.Kill(); err != nil {
		g.t.Fatalf("kill the gateway: %v", err)
	}
	_ = g.process.Wait() // says "signal: killed"
	g.process = nil
	g.checkRaces()
}

// stop ends the gateway as an operator does, and expects it to leave cleanly.
func (g *gateway) stop() {
	g.t.Helper()
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		g.t.Errorf("stop the gateway: %v", err)
	}
	overdue := time.AfterFunc(patience, func() { _ = g.process.Process.Kill() })
	defer overdue.Stop()
	if err := g.process.Wait(); err != nil {
		g.t.Errorf("the gateway left with %v:\n%s", err, g.output.tail())
	}
	g.process = nil
	g.checkRaces()
}

// checkRaces finds what the race detector wrote, also in a life that was killed
// before it could leave with the detector's status.
func (g *gateway) checkRaces() {
	g.t.Helper()
	if g.output.raced() {
		g.t.Errorf("the gateway has a data race:\n%s", g.output.tail())
	}
}

func (g *gateway) url(path string) string { return "http://127.0.0.1:" + g.port + path }

// fetch reads JSON from the gateway into a value.
func (g *gateway) fetch(path string, into any) {
	g.t.Helper()
	response, err := http.Get(g.url(path))
	if err != nil {
		g.t.Fatalf("get %s: %v", path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		g.t.Fatalf("get %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		g.t.Fatalf("get %s: %v", path, err)
	}
}

// environ is a whole environment: what a process needs to run at all, and the
// given settings, later ones first.
func environ(all ...settings) []string {
	environment := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	for _, some := range all {
		for name, value := range some {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}

// outputBytes bounds what is kept of a program's output.
const outputBytes = 1 << 20

// output collects what a program writes and finds where it listens.
type output struct {
	listening chan string // capacity 1: one address in a life

	mu       sync.Mutex // guards the fields below
	text     []byte
	partial  []byte // a line whose end has not come yet
	dataRace bool
}

// Write takes a piece of output; os/exec calls it from one goroutine.
func (o *output) Write(piece []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, piece...)
	if surplus := len(o.text) - outputBytes; surplus > 0 {
		o.text = append(o.text[:0], o.text[surplus:]...)
	}
	o.partial = append(o.partial, piece...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(piece), nil
		}
		o.line(line)
		o.partial = append(o.partial[:0], rest...)
	}
}

// line looks at one whole line.
func (o *output) line(line []byte) {
	if bytes.Contains(line, []byte("WARNING: DATA RACE")) {
		o.dataRace = true
	}
	var entry struct{ Msg, Addr string }
	if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" && entry.Addr != "" {
		select {
		case o.listening <- entry.Addr:
		default:
		}
	}
}

func (o *output) raced() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dataRace
}

// tail returns the end of the output, enough to see what went wrong.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	const enough = 8 << 10
	return strings.ToValidUTF8(string(o.text[max(0, len(o.text)-enough):]), "?")
}

// eventually tries something that has no signal to wait for until it works.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		}
	}
}
