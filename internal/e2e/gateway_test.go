package e2e_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// settings are the environment of a gateway, on top of the defaults of
// [startGateway].
type settings map[string]string

// gateway is a server as a child process. Its methods are for the goroutine of
// the test.
type gateway struct {
	t       testing.TB
	command []string // the program and its arguments
	port    string   // empty: the program's default
	pages   string   // where health is asked for; empty: at the port
	env     settings

	process *exec.Cmd // nil while it is down
	output  *output   // of the life that runs, or ran last
}

// startGateway runs `realtime serve` on a free port and a fresh data folder,
// and waits until it is ready. The environment of the test is not passed on.
func startGateway(t testing.TB, env settings) *gateway {
	t.Helper()
	all := settings{"DATA_DIR": t.TempDir(), "DRAIN_SECONDS": "0"}
	maps.Copy(all, env)
	return startServer(t, all, build(t, "realtime"), "serve")
}

// startServer runs a program that serves as the gateway does.
func startServer(t testing.TB, env settings, command ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, command: command, port: freePort(t), env: env}
	t.Cleanup(func() {
		if g.process != nil {
			g.stop()
		}
		if t.Failed() {
			t.Logf("the last words of %q:\n%s", g.command, g.output.tail())
		}
	})
	g.start()
	return g
}

// freePort returns a port that nobody else takes while a gateway that is restarted on it
// is away.
func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(testkit.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs the program, in each life on the same port.
func (g *gateway) start() {
	g.t.Helper()
	g.output = &output{listening: make(chan string, 1)}
	process := exec.Command(g.command[0], g.command[1:]...)
	process.Env = environ(g.env)
	if g.port != "" {
		process.Env = append(process.Env, "PORT="+g.port)
	}
	process.Stdout, process.Stderr = g.output, g.output
	if err := process.Start(); err != nil {
		g.t.Fatalf("start %q: %v", g.command, err)
	}
	g.process = process
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
		response, err := http.Get(cmp.Or(g.pages, g.url("")) + "/health/ready")
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

func (g *gateway) address() string { return "127.0.0.1:" + g.port }

func (g *gateway) url(path string) string { return "http://" + g.address() + path }

// get returns what a page says.
func (g *gateway) get(path string) string {
	g.t.Helper()
	response, err := http.Get(g.url(path))
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(body)
}

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
// given settings.
func environ(all ...settings) []string {
	environment := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	for _, some := range all {
		for name, value := range some {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
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
