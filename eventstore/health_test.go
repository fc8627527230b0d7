package eventstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/internal/outage"
)

// An outage is two log lines, however many attempts fail during it.
func TestFailingAppendsAreLoggedOnceAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFailingAppends)
}

func testFailingAppends(t *testing.T) {
	measured, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	l := &Log{logger: slog.New(slog.NewTextHandler(&text, nil)), metrics: measured}
	for nth := 1; nth <= 2; nth++ {
		for range 5 {
			l.noteAppend(jet.CauseTimeout)
			l.noteAppend(jet.CauseNoResponders)
		}
		l.noteAppend("")
		l.noteAppend("")
		time.Sleep(outage.Calm)
		l.settleAppends(time.Now())
		for _, line := range []string{"an append failed and is retried", "appends succeed again"} {
			if got := strings.Count(text.String(), line); got != nth {
				t.Errorf("after outage %d: %d lines %q\n%s", nth, got, line, text.String())
			}
		}
	}
}

// Appends wait while the log is full and until all of them have tried again, and not while
// they fail for another cause.
func TestWaitsWhileTheLogIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testWaits)
}

func testWaits(t *testing.T) {
	measured, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &Log{logger: slog.New(slog.DiscardHandler), metrics: measured}
	expect := func(when string, want bool) {
		t.Helper()
		if l.Waits() != want {
			t.Errorf("%s: waits is %t", when, !want)
		}
	}
	expect("at the start", false)
	l.noteAppend(jet.CauseTimeout)
	expect("after a timeout", false)
	l.noteAppend(jet.CauseFull)
	for range 100 { // A timeout in between does not say that there is room.
		l.noteAppend(jet.CauseTimeout)
		time.Sleep(longestAppendPause)
		expect("while it is full", true)
	}
	l.noteAppend("")
	time.Sleep(longestAppendPause)
	expect("while others have yet to try again", true)
	time.Sleep(stuckAfter)
	expect("once there is room", false)
}

// A log that is full and frees a record from time to time is one outage, however often
// appends succeed in between; and so are appends that fail now and then.
func TestOutageWithSuccessesIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFlapping)
}

func testFlapping(t *testing.T) {
	for cause, lines := range map[jet.Cause][2]string{
		jet.CauseFull:    {"log is full", "log has room again"},
		jet.CauseTimeout: {"an append failed and is retried", "appends succeed again"},
	} {
		measured, err := newMetrics(nil)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		l := &Log{logger: slog.New(slog.NewTextHandler(&text, nil)), metrics: measured}
		expect := func(when string, began, ended int) {
			t.Helper()
			if strings.Count(text.String(), lines[0]) != began || strings.Count(text.String(), lines[1]) != ended {
				t.Errorf("%s, %s: want %d begins and %d ends:\n%s", cause, when, began, ended, text.String())
			}
		}
		for range 100 {
			l.noteAppend(cause)
			time.Sleep(time.Second)
			l.noteAppend("")
			time.Sleep(time.Second)
		}
		expect("while it lasts", 1, 0)
		time.Sleep(outage.Calm)
		l.noteAppend("")
		expect("after it", 1, 1)
		l.noteAppend(cause)
		time.Sleep(2 * outage.Calm)
		l.settleAppends(time.Now())
		expect("without a success since the second one began", 2, 1)
	}
}
