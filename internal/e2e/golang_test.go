package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load/socket"
)

// golang holds Socket.IO clients in Go. They take the lines that client/client.mjs
// takes: connect, subscribe, unsubscribe, ping and emit.
type golang struct {
	t       testing.TB
	ctx     context.Context
	output  io.Writer
	running sync.WaitGroup

	mu      sync.Mutex // guards the fields below, and writing to output
	sockets map[string]*socket.Socket
}

// startGo is startDriver for clients in Go.
func startGo(t testing.TB) *driver {
	t.Helper()
	commands, input := io.Pipe()
	lines, output := io.Pipe()
	d := &driver{t: t, input: input, errors: new(bytes.Buffer), ended: make(chan struct{}), clients: map[string]*client{}}
	ctx, cancel := context.WithCancel(context.Background())
	g := &golang{t: t, ctx: ctx, output: output, sockets: map[string]*socket.Socket{}}
	go d.read(lines) // ends with output
	go func() {      // ends with input
		g.serve(commands)
		cancel()
		g.running.Wait()
		_ = output.Close()
	}()
	t.Cleanup(func() {
		_ = input.Close()
		<-d.ended
	})
	return d
}

// serve carries out commands until there are no more.
func (g *golang) serve(commands io.Reader) {
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			g.t.Errorf("command %q: %v", lines.Bytes(), err)
			continue
		}
		var err error
		switch c.Op {
		case "connect":
			g.running.Go(func() { g.hold(c) }) // ends with the context
		case "subscribe", "unsubscribe":
			request := map[string]any{"jobId": c.JobID}
			if c.Since != nil {
				request["since"] = *c.Since
			}
			err = g.emit(c, c.Op, request)
		case "ping":
			err = g.emit(c, c.Op)
		case "emit":
			err = g.emit(c, c.Event, c.Args...)
		default:
			err = errors.New("no such command")
		}
		if err != nil {
			g.t.Errorf("client %s: %s: %v", c.Client, c.Op, err)
		}
	}
}

// hold keeps one client connected, with its session, until the context ends.
func (g *golang) hold(c command) {
	var recovery socket.Recovery
	for g.ctx.Err() == nil {
		connected, err := socket.Dial(g.ctx, socket.Config{
			Endpoint: c.URL + "ws", Recovery: recovery,
			Handler: func(e socket.Event) {
				args, err := e.Args()
				if err != nil {
					g.t.Error(err)
				}
				g.report(c.Client, e.Name, args...)
			},
		})
		if err != nil { // the gateway is down
			select {
			case <-time.After(50 * time.Millisecond):
			case <-g.ctx.Done():
			}
			continue
		}
		g.mu.Lock()
		g.sockets[c.Client] = connected
		g.mu.Unlock()
		state, _ := json.Marshal(map[string]any{"id": connected.ID(), "recovered": connected.Recovered()})
		g.report(c.Client, "connect", state)
		select {
		case <-connected.Ended():
			g.report(c.Client, "disconnect")
		case <-g.ctx.Done():
			connected.Close()
		}
		recovery = connected.Recovery()
	}
}

func (g *golang) emit(c command, name string, args ...any) error {
	g.mu.Lock()
	s := g.sockets[c.Client]
	g.mu.Unlock()
	if s == nil {
		return errors.New("not connected")
	}
	if !c.Ack {
		return s.Emit(name, args...)
	}
	g.running.Go(func() { // ends with the answer, the socket or the context
		answer, err := s.EmitAck(g.ctx, name, args...)
		if err == nil {
			g.report(c.Client, "ack", answer...)
		}
	})
	return nil
}

// report writes one line to the driver.
func (g *golang) report(client, name string, args ...json.RawMessage) {
	line, err := json.Marshal(event{Client: client, Name: name, Args: args})
	if err != nil {
		g.t.Error(err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = g.output.Write(append(line, '\n')) // the driver reads until the end
}
