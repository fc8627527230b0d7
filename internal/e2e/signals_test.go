package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a log rotation, a closed terminal or the end of the log's reader sends to a
// gateway does not end it.
func TestSignalsThatEndNothing(t *testing.T) {
	t.Parallel()
	g := startGateway(t, nil)
	if err := g.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway logs SIGHUP", func() error {
		if _, found := g.output.find(regexp.MustCompile("SIGHUP (has no effect)")); !found {
			return errors.New("no such line")
		}
		return nil
	})
	if err := g.process.Process.Signal(syscall.SIGPIPE); err != nil {
		t.Fatal(err)
	}
	expectAlive(t, g)
}

// A gateway goes on when nobody reads its log any more.
func TestLogPipeIsClosed(t *testing.T) {
	t.Parallel()
	g := startGateway(t, settings{"LOG_LEVEL": "debug"})
	g.stop()
	reading, writing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(g.command[0], g.command[1:]...)
	process.Env = append(environ(g.env), "PORT="+g.port)
	process.Stdout, process.Stderr = writing, writing
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writing.Close()
	g.process = process // stopped by the test's cleanup, which expects an orderly stop
	eventually(t, "the gateway is ready", func() error { return get(g.url("/health/ready")) })
	_ = reading.Close()
	for range 3 { // each request to stop or publish writes lines at this level
		if err := g.process.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	response, err := http.Post(g.url("/api/realtime/events"), "application/json",
		strings.NewReader(`{"kind":"job-status","jobId":"j","id":"1","status":"running"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("a publish is answered with %s", response.Status)
	}
	expectAlive(t, g)
}

// The first interrupt begins the drain and says that a second one does not wait.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	g := startGateway(t, settings{"DRAIN_SECONDS": "600"})
	if err := g.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway says how to end it at once", func() error {
		if _, found := g.output.find(regexp.MustCompile("a (second) Ctrl-C ends it at once")); !found {
			return errors.New("no such line")
		}
		return nil
	})
	ended := make(chan error, 1)
	process := g.process
	g.process = nil
	go func() { ended <- process.Wait() }() // ends with the process, below
	overdue := time.NewTimer(patience)
	defer overdue.Stop()
	again := time.NewTicker(time.Second) // one right after the first is taken for the same key
	defer again.Stop()
	for {
		select {
		case <-again.C:
			_ = process.Process.Signal(os.Interrupt)
		case err := <-ended:
			if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 130 {
				t.Errorf("the gateway ended with %v, want status 130", err)
			}
			return
		case <-overdue.C:
			_ = process.Process.Kill()
			<-ended
			t.Fatal("a second interrupt did not end the gateway")
		}
	}
}

// For DRAIN_SECONDS a gateway answers that it is not ready, and does not close its
// port, with and without clients.
func TestDrainHoldsThePort(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d streams", streams), func(t *testing.T) {
			t.Parallel()
			const drain = 4 * time.Second
			g := startGateway(t, settings{"DRAIN_SECONDS": "4"})
			for range streams {
				response, err := http.Get(g.url("/api/realtime/jobs/j/stream"))
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
			}
			began := time.Now()
			if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			notReady := false
			for time.Since(began) < drain-time.Second {
				response, err := http.Get(g.url("/health/ready"))
				if took := time.Since(began); err != nil && took > drain {
					break // a busy machine asks too late
				} else if err != nil {
					t.Fatalf("%s after SIGTERM the port is closed: %v", took, err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				notReady = notReady || response.StatusCode == http.StatusServiceUnavailable
				time.Sleep(50 * time.Millisecond)
			}
			if !notReady {
				t.Error("the gateway was ready while it stopped")
			}
			g.stop()
			if took := time.Since(began); took < drain {
				t.Errorf("the gateway ended after %s", took)
			}
		})
	}
}

func expectAlive(t *testing.T, g *gateway) {
	t.Helper()
	if err := get(g.url("/health/live")); err != nil {
		t.Errorf("the gateway is not alive: %v", err)
	}
}

func get(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
