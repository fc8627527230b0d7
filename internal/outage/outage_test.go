package outage_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/internal/outage"
)

// What fails and works in turn is one outage, and ends once, after it has been calm. The
// next failure begins another.
func TestBook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		book := outage.NewBook(slog.New(slog.NewTextHandler(&text, nil)), slog.LevelWarn, "it fails", "it works again", "which", "one")
		expect := func(when string, began, ended int) {
			t.Helper()
			synctest.Wait()
			if strings.Count(text.String(), "it fails") != began || strings.Count(text.String(), "it works again") != ended {
				t.Errorf("%s: want %d begins and %d ends:\n%s", when, began, ended, text.String())
			}
		}
		book.Worked()
		time.Sleep(2 * outage.Calm)
		expect("without a failure", 0, 0)
		for range 100 {
			book.Note(errors.New("cause"), "more", 1)
			time.Sleep(time.Second)
			for range 3 {
				book.Note(nil)
				time.Sleep(time.Second)
			}
		}
		expect("while it lasts", 1, 0)
		for range 100 {
			book.Worked()
			time.Sleep(outage.Calm / 10)
		}
		expect("after it", 1, 1)
		book.Failed(errors.New("cause"))
		time.Sleep(10 * outage.Calm)
		expect("without a success", 2, 1)
		book.Worked()
		time.Sleep(outage.Calm + time.Second)
		expect("after the second one", 2, 2)
		for _, part := range []string{"level=WARN", "which=one", "error=cause", "more=1", "failures=100", "after=6m36s"} {
			if !strings.Contains(text.String(), part) {
				t.Errorf("no %s in\n%s", part, text.String())
			}
		}
	})
}
