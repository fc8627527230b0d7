package signals

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// secondWord is how long after the first signal a further SIGINT still belongs to
// it: a wrapper such as npm passes on the SIGINT that the terminal has sent to the
// whole group already.
const secondWord = 500 * time.Millisecond

// interrupted is the exit status of a process that SIGINT ended, as shells have it.
const interrupted = 128 + int(syscall.SIGINT)

// atOnce is told at the first signal.
const atOnce = "a second Ctrl-C ends it at once"

// Handler receives the signals of the process.
type Handler struct {
	received chan os.Signal
	// reloads has one place: SIGHUP during a reload begins one more after it, and any
	// further SIGHUP belongs to that one.
	reloads chan struct{}
	cancel  context.CancelFunc
	exit    func(status int)

	mu     sync.Mutex   // guards the fields below
	out    io.Writer    // for the messages of a command
	logger *slog.Logger // for those of a service; nil for a command
	reload func()       // what SIGHUP does; nil: nothing
}

type key struct{}

// Handle returns a context that the signals of this process end. Messages go to out.
// The function that it returns gives the signals their default effects back.
func Handle(parent context.Context, out io.Writer) (context.Context, func()) {
	return handle(parent, out, os.Exit)
}

func handle(parent context.Context, out io.Writer, exit func(status int)) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	h := &Handler{received: make(chan os.Signal, 4), reloads: make(chan struct{}, 1), cancel: cancel, exit: exit, out: out}
	watched := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup stays in force
		watched = append(watched, syscall.SIGHUP)
	}
	signal.Notify(h.received, watched...)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with done
		defer close(ended)
		h.watch(done)
	}()
	go h.reloadAll(ctx) // ends with ctx, or after the reload that runs then
	stop := sync.OnceFunc(func() {
		signal.Stop(h.received)
		close(done)
		<-ended
		cancel()
	})
	return context.WithValue(ctx, key{}, h), stop
}

// Service makes the process of a context from [Handle] one that serves: SIGHUP calls
// reload, one call at a time and apart from the other signals, or with nil is logged and
// has no other effect; and a closed pipe on standard output or standard error is an error
// of the write and no longer the end of the process. Service has no effect with any other
// context.
func Service(ctx context.Context, logger *slog.Logger, reload func()) {
	h, found := ctx.Value(key{}).(*Handler)
	if !found {
		return
	}
	h.mu.Lock()
	h.logger, h.reload = logger, reload
	h.mu.Unlock()
	// A signal that has a channel has no effect of its own, so that the write returns
	// EPIPE. Unlike signal.Ignore, child processes do not inherit this.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

func (h *Handler) watch(done <-chan struct{}) {
	var first time.Time
	for {
		select {
		case <-done:
			return
		case received := <-h.received:
			switch {
			case received == syscall.SIGHUP && h.hangup():
			case first.IsZero():
				first = time.Now()
				h.stop(received)
			case received == os.Interrupt && time.Since(first) >= secondWord:
				h.exit(interrupted)
			}
		}
	}
}

// hangup asks for a reload of a service. It reports false for a command, which SIGHUP ends.
func (h *Handler) hangup() bool {
	h.mu.Lock()
	logger, reload := h.logger, h.reload
	h.mu.Unlock()
	if logger == nil {
		return false
	}
	if reload == nil {
		logger.Info("SIGHUP has no effect: no file of settings or certificates can have changed")
		return true
	}
	select {
	case h.reloads <- struct{}{}:
	default: // a reload waits already, and reads the files later than this signal
	}
	return true
}

// reloadAll reloads as often as it is asked to. It has a goroutine of its own, so that a
// reload that takes long, as one that reads a file over the network, holds up no other
// signal.
func (h *Handler) reloadAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.reloads:
		}
		h.mu.Lock()
		logger, reload := h.logger, h.reload
		h.mu.Unlock()
		if ctx.Err() == nil && reload != nil {
			contained(logger, reload)
		}
	}
}

// contained calls reload, and logs a panic of it: the service goes on, and the next SIGHUP
// reloads again.
func contained(logger *slog.Logger, reload func()) {
	defer func() {
		if cause := recover(); cause != nil {
			logger.Error("a reload panicked; some settings may be changed", "panic", cause, "stack", string(debug.Stack()))
		}
	}()
	reload()
}

// stop ends the context.
func (h *Handler) stop(received os.Signal) {
	switch received {
	case os.Interrupt:
		h.say("stopping after SIGINT", "stopping")
	case syscall.SIGTERM:
		h.say("stopping after SIGTERM", "")
	}
	h.cancel()
}

// say tells a service's log or a command's user what a signal does. An empty text
// for the user tells nothing: no user is at the terminal.
func (h *Handler) say(logged, shown string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.logger != nil {
		h.logger.Info(logged, "again", atOnce)
		return
	}
	if shown != "" {
		fmt.Fprintf(h.out, "%s; %s\n", shown, atOnce)
	}
}
