package lease_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

func record(t *testing.T) *lease.Record {
	t.Helper()
	conn := logkit.Conn(t)
	logkit.Open(t, conn)
	record, err := lease.NewRecord(conn, "", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// The record keeps the work that runs and the newest that has ended, each within its bounds.
func TestRecordOfWorkIsBounded(t *testing.T) {
	t.Parallel()
	record := record(t)
	if all, err := record.List(t.Context()); err != nil || len(all) > 0 {
		t.Fatalf("%v, %v", all, err)
	}
	_, lasting, err := record.Begin(t.Context(), lease.Work{Kind: "lasting"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range lease.MaxWorks + 3 {
		ctx, held, err := record.Begin(t.Context(), lease.Work{Kind: "short", Target: strings.Repeat("x", 600)})
		if err != nil {
			t.Fatal(err)
		}
		ended, err := held.End(ctx, strings.Repeat("y", n*1000), errors.New(strings.Repeat("z", 600)))
		if err != nil || ended.State != lease.WorkFailed || len(ended.Error) != 512 || (len(ended.Result) > 0) != (n <= 8) {
			t.Fatalf("piece %d: %v, %+v", n, err, ended)
		}
	}
	all, err := record.List(t.Context())
	if err != nil || len(all) != lease.MaxWorks || all[0].Kind != "lasting" || all[0].State != lease.WorkRunning {
		t.Fatalf("%d in the record, the first %+v: %v", len(all), all[0], err)
	}
	for range lease.MaxRunning - 1 {
		ctx, held, err := record.Begin(t.Context(), lease.Work{Kind: "lasting"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = held.End(ctx, nil, nil) })
	}
	if _, _, err := record.Begin(t.Context(), lease.Work{Kind: "one more"}); !errors.Is(err, lease.ErrBusy) {
		t.Errorf("one more than may run: %v", err)
	}
	if _, err := lasting.End(t.Context(), map[string]int{"events": 3}, nil); err != nil {
		t.Error(err)
	}
	if _, _, err := record.Begin(t.Context(), lease.Work{Request: json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)}); !errors.Is(err, lease.ErrTooLarge) {
		t.Errorf("a large request: %v", err)
	}
}

// Work whose process does not renew the lease was interrupted. Its process, should it go on,
// does not overwrite that.
func TestWorkOfAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	record := record(t)
	ctx, held, err := record.Begin(t.Context(), lease.Work{Kind: "rebuild"})
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.SetWork(held, func(w *lease.Work) { w.Until = time.Now().Add(-time.Second) }); err != nil {
		t.Fatal(err)
	}
	all, err := record.List(t.Context())
	if err != nil || len(all) != 1 || all[0].State != lease.WorkInterrupted || all[0].EndedAt == nil || all[0].Error == "" {
		t.Fatalf("%+v, %v", all, err)
	}
	if _, err := record.Cancel(t.Context(), all[0].ID); !errors.Is(err, lease.ErrEnded) {
		t.Errorf("it is cancelled: %v", err)
	}
	ended, err := held.End(ctx, "swapped", nil)
	if !errors.Is(err, lease.ErrLost) || ended.State != lease.WorkDone || string(ended.Result) != `"swapped"` || ended.EndedAt == nil {
		t.Errorf("it ends: %v, %+v", err, ended)
	}
	if all, err := record.List(t.Context()); err != nil || all[0].State != lease.WorkInterrupted {
		t.Errorf("the record: %+v, %v", all, err)
	}
}
