package projections

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

	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

// Batches that MongoDB takes and does not take in turn are one outage, which ends once.
func TestFailingBatchesAreOneOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		measured, err := newMetrics(prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		store := &Store{logger: slog.New(slog.NewTextHandler(&text, nil)), metrics: measured, standing: &standing{why: make(map[string]error)}}
		fails := false
		p := store.newProjection(History, func(context.Context, []messaging.Record) error {
			if fails = !fails; fails {
				return errors.New("cause")
			}
			return nil
		})
		for range 20 {
			_ = p.apply(t.Context(), nil) // fails every other time
			time.Sleep(time.Second)
		}
		time.Sleep(outage.Calm)
		synctest.Wait()
		for _, line := range []string{"does not take a projection's batches", "takes a projection's batches again"} {
			if n := strings.Count(text.String(), line); n != 1 {
				t.Errorf("%q is logged %d times:\n%s", line, n, text.String())
			}
		}
	})
}
