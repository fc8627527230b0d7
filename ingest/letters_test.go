package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/letswriteabook/realtime/ingest"
)

// Letters that cannot be stored do not delay events, and their memory is bounded.
func TestFailingLettersDoNotDelayEvents(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingLetters = 20
	b := setup(t)
	b.log.mu.Lock()
	b.log.before = func(_ context.Context, jobID string) error {
		if jobID == "" { // a dead letter
			return errPassing
		}
		return nil
	}
	b.log.mu.Unlock()
	g := b.subscribed(t, cfg)
	for n := range 200 {
		b.publish(t, fmt.Sprint("poison ", n))
	}
	b.publish(t, event("job", "good", 1))
	b.log.waitRecords(t, 1)
	if err := g.Letters(); !errors.Is(err, ingest.ErrLettersFail) {
		t.Errorf("letters: %v", err)
	}
	pending, dropped := g.metric(t, "pending_dead_letters"), g.metric(t, "dead_letters_dropped_total")
	if pending > 20 || pending+dropped != 200 {
		t.Errorf("%v letters wait, %v are dropped", pending, dropped)
	}
	b.log.mu.Lock()
	b.log.before = nil
	b.log.mu.Unlock()
	b.log.waitLetters(t, int(pending))
	eventually(t, "letters to be well", func() bool { return g.Letters() == nil })
}

// The letters that arrive during a write form the next write, in the order of arrival, so
// that a flood of poison is stored as fast as a flood of good events.
func TestLettersThatWaitAreWrittenTogether(t *testing.T) {
	t.Parallel()
	const count = 500
	b := setup(t)
	open := b.log.block()
	g := b.subscribed(t, quick())
	for n := range count {
		b.publish(t, fmt.Sprint("poison ", n))
	}
	eventually(t, "the letters to wait", func() bool { return g.metric(t, "pending_dead_letters") == count })
	open()
	for n, letter := range b.log.waitLetters(t, count) {
		if want := fmt.Sprint("poison ", n); string(letter.Body) != want {
			t.Fatalf("letter %d is %q, want %q", n, letter.Body, want)
		}
	}
	eventually(t, "no letter to wait", func() bool { return g.metric(t, "pending_dead_letters") == 0 })
	b.log.mu.Lock()
	defer b.log.mu.Unlock()
	if b.log.letterWrites > 2 {
		t.Errorf("%d writes for the letter that came first and those that waited for it", b.log.letterWrites)
	}
}

// However often dead letters and the head of the log are retried, an outage is logged once
// when it begins and once when it has ended.
func TestOutagesOfTheLogAreLoggedOnce(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.MaxPendingLetters = 20
	b := setup(t)
	b.log.mu.Lock()
	b.log.headErr = errPassing
	b.log.before = func(_ context.Context, jobID string) error {
		if jobID == "" { // a dead letter
			return errPassing
		}
		return nil
	}
	b.log.mu.Unlock()
	lines := &logLines{}
	g := startLogged(t, b.server.Client(), b.log, cfg, slog.New(slog.NewTextHandler(lines, nil)))
	g.waitConnected(t)
	for n := range 100 {
		b.publish(t, fmt.Sprint("poison ", n))
	}
	b.publish(t, event("job-1", "", 1), event("job-2", "", 2))
	eventually(t, "many attempts", func() bool {
		return g.metric(t, "log_failures_total") > 200 && g.metric(t, "dead_letters_dropped_total") > 0
	})
	pending := int(g.metric(t, "pending_dead_letters"))
	b.log.mu.Lock()
	b.log.before, b.log.headErr = nil, nil
	b.log.mu.Unlock()
	b.log.waitLetters(t, pending)
	b.log.waitRecords(t, 2)
	if err := g.stop(); err != nil {
		t.Fatalf("run: %v", err)
	}
	for line, want := range map[string]int{
		"dead letters cannot be stored": 1, "dead letters are dropped": 1, "dead letters are stored again": 1,
		"the head of the log cannot be read": 1, "the head of the log is read again": 1, "a request to the log failed": 0,
	} {
		if got := lines.count(line); got != want {
			t.Errorf("%d lines with %q, want %d", got, line, want)
		}
	}
}

// logLines is what a logger has written.
type logLines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}
