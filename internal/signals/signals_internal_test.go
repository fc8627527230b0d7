package signals

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience bounds what has to happen at once.
const patience = time.Minute

// within waits for a signal of the test.
func within(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		t.Fatalf("not in %s: %s", patience, what)
	}
}

// A reload that takes long holds up no other signal: SIGTERM stops the service, and a
// second SIGINT ends the process.
func TestSignalsDuringAReload(t *testing.T) {
	t.Parallel()
	exited := make(chan struct{})
	ctx, stop := handle(t.Context(), io.Discard, func(int) { close(exited) })
	defer stop()
	h := ctx.Value(key{}).(*Handler)
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	Service(ctx, slog.New(slog.DiscardHandler), func() {
		close(begun)
		<-release
	})
	h.received <- syscall.SIGHUP
	within(t, "the reload begins", begun)
	h.received <- syscall.SIGTERM
	within(t, "SIGTERM ends the context", ctx.Done())
	time.Sleep(secondWord) // which a SIGINT of the same wrapper would come within
	h.received <- os.Interrupt
	within(t, "SIGINT ends the process", exited)
}

// Reloads run one at a time, and any number of signals during one begin one more.
func TestReloadsAreOneAtATime(t *testing.T) {
	t.Parallel()
	ctx, stop := handle(t.Context(), io.Discard, func(int) {})
	defer stop()
	h := ctx.Value(key{}).(*Handler)
	var running, most, calls atomic.Int32
	begun, release := make(chan struct{}, 8), make(chan struct{})
	Service(ctx, slog.New(slog.DiscardHandler), func() {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		calls.Add(1)
		begun <- struct{}{}
		<-release
	})
	h.received <- syscall.SIGHUP
	within(t, "the reload begins", begun)
	for range 4 {
		if !h.hangup() {
			t.Fatal("a service does not take SIGHUP")
		}
	}
	release <- struct{}{}
	within(t, "one more reload begins", begun)
	release <- struct{}{}
	stop()
	if calls.Load() != 2 || most.Load() != 1 {
		t.Errorf("%d reloads, %d at a time", calls.Load(), most.Load())
	}
}

// A reload that panics ends neither the process nor the reloads.
func TestReloadThatPanics(t *testing.T) {
	t.Parallel()
	ctx, stop := handle(t.Context(), io.Discard, func(int) {})
	defer stop()
	h := ctx.Value(key{}).(*Handler)
	var text bytes.Buffer
	calls, reloaded := 0, make(chan struct{})
	Service(ctx, slog.New(slog.NewTextHandler(&text, nil)), func() {
		if calls++; calls == 1 {
			h.received <- syscall.SIGHUP
			panic("for the test")
		}
		close(reloaded)
	})
	h.received <- syscall.SIGHUP
	within(t, "the reload after the one that panicked", reloaded)
	if log := text.String(); !strings.Contains(log, "a reload panicked") || !strings.Contains(log, "for the test") {
		t.Errorf("the log has %q", log)
	}
}

// A command, which is no service, ends with SIGHUP.
func TestHangupEndsACommand(t *testing.T) {
	t.Parallel()
	ctx, stop := handle(context.Background(), io.Discard, func(int) {})
	defer stop()
	ctx.Value(key{}).(*Handler).received <- syscall.SIGHUP
	within(t, "SIGHUP ends the context", ctx.Done())
}
