package eventstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/messaging"
)

// The exposition after a known history is fixed: dashboards and alerts read it.
func TestMetricsExposition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, withID("job", "a", "1"), withID("job", "b", "2"), withID("job", "a", "1"))
	if _, err := b.log.Append(t.Context(), withID("job", "a", "other")); !errors.Is(err, eventstore.ErrIDConflict) {
		t.Fatal(err)
	}
	if err := b.log.DeadLetter(t.Context(), messaging.DeadLetter{Reason: messaging.ReasonIDConflict}); err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "v1", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// The time an append takes is not known; that it is counted is.
	names := []string{
		"realtime_eventstore_appended_records_total", "realtime_eventstore_duplicate_records_total",
		"realtime_eventstore_conflicting_records_total", "realtime_eventstore_append_retries_total",
		"realtime_eventstore_dead_letters_total", "realtime_eventstore_log_full", "realtime_eventstore_log_full_episodes_total",
		"realtime_eventstore_foreign_messages_total", "realtime_eventstore_panics_total", "realtime_eventstore_tail_followed_jobs", "realtime_eventstore_tail_records_total",
		"realtime_eventstore_tail_dropped_records_total", "realtime_eventstore_tail_disruptions_total",
		"realtime_eventstore_known_ids", "realtime_eventstore_late_repeats_total", "realtime_eventstore_dead_letters_removed_total",
		"realtime_eventstore_epochs_begun_total", "realtime_eventstore_streams_recreated_total", "realtime_eventstore_stream_flaws",
		"realtime_eventstore_unreadable_records", "realtime_eventstore_scrubbed_timestamp_seconds", "realtime_eventstore_append_batches_total",
	}
	if err := testutil.GatherAndCompare(b.reg, bytes.NewReader(golden), names...); err != nil {
		t.Error(err)
	}
	families, err := b.reg.Gather()
	// Beside these, the seconds and the sizes of appends, the size and the limits of the log,
	// and the flaws of the other streams.
	if err != nil || len(families) != len(names)+7 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	for _, family := range families {
		if family.GetName() == "realtime_eventstore_append_seconds" && family.GetMetric()[0].GetHistogram().GetSampleCount() != 3 {
			t.Errorf("append times = %v", family)
		}
	}
	if problems, err := testutil.GatherAndLint(b.reg); err != nil || len(problems) != 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestMetricsRegisterOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := eventstore.Open(t.Context(), b.conn, eventstore.DefaultConfig(), nil, b.reg); err == nil {
		t.Error("the same registry was accepted twice")
	}
}

func TestSessionMetricsExposition(t *testing.T) {
	t.Parallel()
	log := setup(t)
	b := &bundle{log: log.log, reg: prometheus.NewRegistry()}
	store := b.openSessions(t)
	stop := runSessions(t, store)
	store.Save(sessionID(1), []byte("state"))
	b.settled(t)
	store.Forget(sessionID(1))
	b.settled(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	store.Save(sessionID(2), []byte("waits"))
	store.Save("not an id", nil)
	golden, err := os.ReadFile(filepath.Join("testdata", "v1", "session-metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := testutil.GatherAndCompare(b.reg, bytes.NewReader(golden)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(b.reg); err != nil || len(problems) != 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if _, err := sessions.Open(t.Context(), b.log, sessions.DefaultConfig(), nil, b.reg); err == nil {
		t.Error("the same registry was accepted twice")
	}
}
