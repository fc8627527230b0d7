package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

// worker is the example worker of the Node package web/publisher: envelopes on its
// standard input, receipts on its standard output.
type worker struct {
	process *exec.Cmd
	input   io.WriteCloser
	output  io.ReadCloser
	lines   chan []byte // as many as the outbox may hold
}

// newWorkerOutbox starts the worker and records its events, until close. It skips the row
// if Node or the package is missing.
func newWorkerOutbox(ctx context.Context, l *processes.Lab, limit int, journal *oracle.Journal) (*Outbox, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, Skip("node is not installed: %v", err)
	}
	dir := filepath.Join(l.Root(), "web", "publisher")
	for _, needed := range []string{"examples/worker.mjs", "dist"} {
		if _, err := os.Stat(filepath.Join(dir, needed)); err != nil {
			return nil, Skip("web/publisher is not built: %v", errors.Unwrap(err))
		}
	}
	w := &worker{process: exec.Command(node, filepath.Join("examples", "worker.mjs")), lines: make(chan []byte, limit)}
	w.process.Dir, w.process.Env = dir, []string{"REDIS_URL=" + l.RedisURL(), fmt.Sprint("MAX_EVENTS=", limit)}
	w.process.Stderr = io.Discard
	if w.input, err = w.process.StdinPipe(); err != nil {
		return nil, err
	}
	if w.output, err = w.process.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := w.process.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	o := newBooks(limit, journal)
	o.worker = w
	ctx, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	o.running.Go(func() { w.write(ctx) })   // ends with ctx, or with the worker
	o.running.Go(func() { w.read(o.take) }) // ends with the worker
	return o, nil
}

// write writes lines to the worker, which reads when its own outbox has room.
func (w *worker) write(ctx context.Context) {
	for {
		select {
		case line := <-w.lines:
			if _, err := w.input.Write(append(line, '\n')); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (w *worker) read(take func(messaging.Receipt)) {
	lines := bufio.NewScanner(w.output)
	for lines.Scan() {
		var receipt messaging.Receipt
		if json.Unmarshal(lines.Bytes(), &receipt) == nil {
			take(receipt)
		}
	}
}

// kill kills the worker. The events that it still has are lost.
func (w *worker) kill() {
	_ = w.process.Process.Kill()
	_ = w.process.Wait() // says "signal: killed"
}
