package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
)

// TestLagOfAProjectionThatNeverRan: all of the log is its lag.
func TestLagOfAProjectionThatNeverRan(t *testing.T) {
	t.Parallel()
	log := logkit.Open(t, logkit.Conn(t))
	for n := range 3 {
		record := messaging.Record{Kind: "job-status", JobID: "job", MessageID: fmt.Sprint(n), EmittedAt: messaging.FormatTime(time.Now()), Body: []byte(`{}`)}
		if _, err := log.Append(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	var list struct {
		Items []struct {
			Name       string
			Lag        uint64
			LagSeconds float64
			NeverRan   bool
		}
	}
	get(t, serve(t, log, admin.Deps{Projections: []string{"history"}}), "/projections", &list)
	if len(list.Items) != 1 || list.Items[0].Lag != 3 || list.Items[0].LagSeconds <= 0 || !list.Items[0].NeverRan {
		t.Errorf("projections %+v", list.Items)
	}
}
