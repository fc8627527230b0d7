package outage

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Book logs the outages of one thing. Its methods may be called concurrently, and may log
// on the goroutine of their caller.
type Book struct {
	logger       *slog.Logger
	level        slog.Level
	begins, ends string
	attrs        []any

	// lasts is what outage.Lasts returns, so that a success is cheap.
	lasts  atomic.Bool
	mu     sync.Mutex // guards outage; never held while something is logged
	outage Outage
}

// NewBook returns a book that logs begins, at a level, with the first failure of an outage,
// and ends, at level Info, when the outage is over; an empty one is not logged. attrs are in
// both lines.
func NewBook(logger *slog.Logger, level slog.Level, begins, ends string, attrs ...any) *Book {
	return &Book{logger: logger, level: level, begins: begins, ends: ends, attrs: attrs}
}

// Failed notes a failure. attrs are added to the line, if there is one.
func (b *Book) Failed(cause error, attrs ...any) {
	b.mu.Lock()
	begins := b.outage.Fail(time.Now())
	b.lasts.Store(true)
	b.mu.Unlock()
	if begins {
		b.logger.Log(context.Background(), b.level, b.begins, slices.Concat(b.attrs, attrs, []any{"error", cause})...)
	}
}

// Worked notes a success. The line of the end follows when nothing fails for [Calm].
func (b *Book) Worked() {
	if !b.lasts.Load() {
		return
	}
	b.mu.Lock()
	first := b.outage.Succeed()
	b.mu.Unlock()
	if first {
		// Not stopped: after another failure it finds that the outage lasts, and the next
		// success starts another one.
		time.AfterFunc(Calm, b.settle)
	}
}

// Note is Failed for an error, and Worked without one.
func (b *Book) Note(err error, attrs ...any) {
	if err != nil {
		b.Failed(err, attrs...)
		return
	}
	b.Worked()
}

// settle ends the outage if it is over.
func (b *Book) settle() {
	b.mu.Lock()
	ended, lasted, failures := b.outage.Over(time.Now())
	b.lasts.Store(b.outage.Lasts())
	b.mu.Unlock()
	if ended && b.ends != "" {
		b.logger.Info(b.ends, slices.Concat(b.attrs, []any{"after", lasted.Round(time.Millisecond), "failures", failures})...)
	}
}
