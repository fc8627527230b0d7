package contain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/wait"
)

// ErrPanic is wrapped by the error of [Guard.Do] for work that panicked. A retry helps if
// the cause was temporary.
var ErrPanic = errors.New("panic")

// Guard counts panics, and logs the first of each goroutine with its stack. Its
// methods may be called concurrently.
type Guard struct {
	panics prometheus.Counter
	logger *slog.Logger
	logged sync.Map // the names of goroutines
}

// New returns a guard that counts panics in panics.
func New(panics prometheus.Counter, logger *slog.Logger) *Guard {
	return &Guard{panics: panics, logger: logger}
}

// Recover recovers a panic of the goroutine. It must be deferred directly, not called by a
// deferred function. After a panic it calls after, which closes what the goroutine worked
// for and may be nil.
func (g *Guard) Recover(goroutine string, after func()) {
	if cause := recover(); cause != nil {
		g.Note(goroutine, cause)
		if after != nil {
			after()
		}
	}
}

// Do returns the error of work, or an error that is [ErrPanic] if work panicked.
func (g *Guard) Do(goroutine string, work func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			g.Note(goroutine, cause)
			err = fmt.Errorf("%w: %v", ErrPanic, cause)
		}
	}()
	return work()
}

// The pause of Persist after a panic doubles from the shortest to the longest, and starts
// again at the shortest after a run that lasted longer than the longest.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
)

// Persist runs work and returns its error. Work that panicked is run again after a pause,
// until ctx ends; then Persist returns nil.
func (g *Guard) Persist(ctx context.Context, goroutine string, work func() error) error {
	pause := shortestPause
	for {
		began := time.Now()
		err := g.Do(goroutine, work)
		if !errors.Is(err, ErrPanic) {
			return err
		}
		if time.Since(began) > longestPause {
			pause = shortestPause
		}
		if wait.For(ctx, pause+rand.N(pause)) != nil {
			return nil
		}
		pause = min(2*pause, longestPause)
	}
}

// Note counts and logs a panic that its caller has recovered. attrs are added to the log
// record.
func (g *Guard) Note(goroutine string, cause any, attrs ...any) {
	defer g.panics.Inc() // after logging, so that a counted panic is logged
	if _, logged := g.logged.LoadOrStore(goroutine, true); !logged {
		attrs = append(attrs, "goroutine", goroutine, "panic", cause, "stack", string(debug.Stack()))
		g.logger.Error("a goroutine panicked; later panics of it are counted only", attrs...)
	}
}
