package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// event is one line of a driver's process: something that happened to a client.
type event struct {
	Client string            `json:"client"`
	Name   string            `json:"event"`
	Args   []json.RawMessage `json:"args"`
}

func (e event) String() string {
	args, _ := json.Marshal(e.Args)
	return e.Name + string(args)
}

// into decodes the first argument.
func (e event) into(t testing.TB, value any) {
	t.Helper()
	if len(e.Args) == 0 {
		t.Fatalf("%s has no argument", e.Name)
	}
	if err := json.Unmarshal(e.Args[0], value); err != nil {
		t.Fatalf("%s: %v", e, err)
	}
}

// driver holds clients: a process, or goroutines that take the same lines.
type driver struct {
	t       testing.TB
	process *exec.Cmd // nil after its end, and for clients in Go
	input   io.WriteCloser
	errors  *bytes.Buffer // of the process; read after its end
	ended   chan struct{} // closed when its output has been read to the end

	mu      sync.Mutex         // guards clients
	clients map[string]*client // by name
}

// startDriver starts Node. The test's cleanup closes its clients and ends it.
func startDriver(t testing.TB) *driver {
	t.Helper()
	node := testkit.Program(t, "node")
	requireNodePackages(t)
	return startProcess(t, node, "client/client.mjs")
}

// requireNodePackages skips a test without the packages of client/package.json, and fails it
// in the continuous integration.
func requireNodePackages(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("client/node_modules/socket.io-client"); err != nil {
		message := "the Node packages are missing; run npm ci --prefix internal/e2e/client"
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s: %v", message, err)
		}
		t.Skipf("SKIPPED, NOTHING WAS TESTED: %s", message)
	}
}

// startProcess starts a program that reads commands and writes events as
// client/client.mjs does.
func startProcess(t testing.TB, program string, args ...string) *driver {
	t.Helper()
	d := &driver{t: t, errors: new(bytes.Buffer), ended: make(chan struct{}), clients: map[string]*client{}}
	d.process = exec.Command(program, args...)
	d.process.Env = environ()
	d.process.Stderr = d.errors
	var err error
	if d.input, err = d.process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	lines, err := d.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.process.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go d.read(lines) // ends with the process
	t.Cleanup(func() {
		if d.process != nil {
			d.close()
		}
	})
	return d
}

// read hands every line to its client until the process ends.
func (d *driver) read(lines io.Reader) {
	defer close(d.ended)
	reader := bufio.NewReader(lines)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return // the end; a killed process may leave half a line
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			d.t.Errorf("the clients' process wrote %q: %v", line, err)
			continue
		}
		d.mu.Lock()
		c := d.clients[e.Client]
		d.mu.Unlock()
		c.push(e)
	}
}

// kill ends the process, and with it every client, without a goodbye.
func (d *driver) kill() {
	d.t.Helper()
	if err := d.process.Process.Kill(); err != nil {
		d.t.Fatalf("kill the clients' process: %v", err)
	}
	<-d.ended
	_ = d.process.Wait() // says "signal: killed"
	d.process = nil
}

// close lets every client leave and waits for the end of the process.
func (d *driver) close() {
	_ = d.input.Close()
	overdue := time.AfterFunc(patience, func() { _ = d.process.Process.Kill() })
	defer overdue.Stop()
	<-d.ended
	if err := d.process.Wait(); err != nil {
		d.t.Errorf("the clients' process left with %v: %s", err, d.errors)
	}
	d.process = nil
}

// command is one line to a driver.
type command struct {
	Op      string  `json:"op"`
	Client  string  `json:"client"`
	URL     string  `json:"url,omitempty"`
	Version int     `json:"version,omitempty"`
	Options options `json:"options,omitempty"`
	Always  *always `json:"always,omitempty"`
	JobID   string  `json:"jobId,omitempty"`
	Since   *uint64 `json:"since,omitempty"`
	Ack     bool    `json:"ack,omitempty"`
	Event   string  `json:"event,omitempty"`
	Args    []any   `json:"args,omitempty"`
}

// always makes a client subscribe in its connect listener, so on every connect.
type always struct {
	Jobs  []string `json:"jobs"`
	Since bool     `json:"since"` // with the last sequence it received of each
}

func (d *driver) send(c command) {
	d.t.Helper()
	line, err := json.Marshal(c)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.input.Write(append(line, '\n')); err != nil {
		d.t.Fatalf("command %s: %v", line, err)
	}
}

// options are those of socket.io-client.
type options map[string]any

// open starts to connect a client and does not wait. Without options it speaks
// WebSocket only, which is what the service recommends.
func (d *driver) open(name, url string, some ...options) *client {
	d.t.Helper()
	return d.openVersion(4, name, url, some...)
}

func (d *driver) openVersion(version int, name, url string, some ...options) *client {
	d.t.Helper()
	return d.launch(command{Client: name, URL: url, Version: version, Options: merge(some...)})
}

// launch makes a client as the command describes it.
func (d *driver) launch(described command) *client {
	d.t.Helper()
	c := &client{driver: d, name: described.Client, subscribes: described.Op != "stream", arrived: make(chan struct{}, 1)}
	d.mu.Lock()
	d.clients[c.name] = c
	d.mu.Unlock()
	if described.Op == "" {
		described.Op = "connect"
	}
	d.send(described)
	return c
}

// merge returns the options of a client: the tests' own, and over them the given.
func merge(some ...options) options {
	all := options{"path": "/ws", "transports": []string{"websocket"}, "reconnectionDelay": 50, "reconnectionDelayMax": 200}
	for _, more := range some {
		maps.Copy(all, more)
	}
	return all
}

// connect opens a client and waits until it is connected.
func (d *driver) connect(name, url string, some ...options) *client {
	d.t.Helper()
	c := d.open(name, url, some...)
	c.await("connect")
	return c
}

// client is one client of a driver.
type client struct {
	driver     *driver
	name       string
	subscribes bool // whether it takes the command; a stream has its job in its URL

	arrived chan struct{} // capacity 1: a hint that the queue has grown

	mu    sync.Mutex // guards queue
	queue []event    // what has arrived and nobody has taken; bounded by the test
}

func (c *client) push(e event) {
	c.mu.Lock()
	c.queue = append(c.queue, e)
	c.mu.Unlock()
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// next returns the next event in order of arrival.
func (c *client) next() event {
	c.driver.t.Helper()
	e, found := c.within(patience)
	if !found {
		c.driver.t.Fatalf("client %s: no event in %s", c.name, patience)
	}
	return e
}

// within returns the next event, if there is one before the time is over.
func (c *client) within(limit time.Duration) (event, bool) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		c.mu.Lock()
		if len(c.queue) > 0 {
			e := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return e, true
		}
		c.mu.Unlock()
		select {
		case <-c.arrived:
		case <-deadline.C:
			return event{}, false
		}
	}
}

// await returns the next event of one of the names. What comes before it is
// lost to the test, so nothing that is counted may be awaited past.
func (c *client) await(names ...string) event {
	c.driver.t.Helper()
	for {
		if e := c.next(); slices.Contains(names, e.Name) {
			return e
		}
	}
}

func (c *client) subscribe(jobID string, since *uint64) {
	c.driver.t.Helper()
	c.driver.send(command{Op: "subscribe", Client: c.name, JobID: jobID, Since: since})
}

// do sends a plain command: ping, cut, disconnect or reconnect.
func (c *client) do(op string) {
	c.driver.t.Helper()
	c.driver.send(command{Op: op, Client: c.name})
}

// request emits an event and returns the acknowledgement.
func (c *client) request(name string, args ...any) answer {
	c.driver.t.Helper()
	c.driver.send(command{Op: "emit", Client: c.name, Event: name, Args: args, Ack: true})
	var a answer
	c.await("ack").into(c.driver.t, &a)
	return a
}

// answer is an acknowledgement of subscribe or unsubscribe.
type answer struct {
	OK      bool   `json:"ok"`
	JobID   string `json:"jobId"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// clientName numbers clients.
func clientName(n int) string { return fmt.Sprintf("client-%d", n) }
