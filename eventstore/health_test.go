package eventstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// An outage is two log lines, however many attempts fail during it.
func TestFailingAppendsAreLoggedOnceAnOutage(t *testing.T) {
	t.Parallel()
	measured, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	l := &Log{logger: slog.New(slog.NewTextHandler(&text, nil)), metrics: measured}
	for outage := 1; outage <= 2; outage++ {
		for range 5 {
			l.noteAppend(jet.CauseTimeout)
			l.noteAppend(jet.CauseNoResponders)
		}
		l.noteAppend("")
		l.noteAppend("")
		for _, line := range []string{"an append failed and is retried", "appends succeed again"} {
			if got := strings.Count(text.String(), line); got != outage {
				t.Errorf("after outage %d: %d lines %q\n%s", outage, got, line, text.String())
			}
		}
	}
}
