package contain_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/internal/contain"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total"})
	guard := contain.New(panics, slog.New(slog.NewTextHandler(&text, nil)))
	closed := 0
	for range 3 {
		func() {
			defer guard.Recover("reader", func() { closed++ })
			panic("for the test")
		}()
	}
	func() { defer guard.Recover("reader", func() { closed++ }) }()
	if err := guard.Do("room", func() error { panic("for the test") }); !errors.Is(err, contain.ErrPanic) {
		t.Errorf("error %v", err)
	}
	if err := guard.Do("room", func() error { return nil }); err != nil {
		t.Errorf("error %v", err)
	}
	if got := testutil.ToFloat64(panics); got != 4 || closed != 3 {
		t.Errorf("%v counted, closed %d times", got, closed)
	}
	if lines := strings.Count(text.String(), "panicked"); lines != 2 {
		t.Errorf("%d lines: %s", lines, &text)
	}
}

// Work that panics is run again until it returns, and after the end of its context no more.
func TestPersist(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total"})
		guard := contain.New(panics, slog.New(slog.DiscardHandler))
		broken := errors.New("for the test")
		runs, began := 0, time.Now()
		err := guard.Persist(t.Context(), "loop", func() error {
			if runs++; runs < 10 {
				panic("for the test")
			}
			return broken
		})
		if took := time.Since(began); !errors.Is(err, broken) || runs != 10 || took < 15*time.Second || took > time.Minute {
			t.Errorf("%d runs in %s, error %v", runs, took, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = guard.Persist(ctx, "loop", func() error {
			cancel()
			panic("for the test")
		})
		if got := testutil.ToFloat64(panics); err != nil || got != 10 {
			t.Errorf("%v panics, error %v", got, err)
		}
	})
}
