package contain_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

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
