package guardrails_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestRequests(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	requests := guardrails.NewRequests(guardrails.Limits{MaxRequests: 4, MaxRequestsPerClient: 2, RequestsPerMinute: 60})
	admit := func(client string, want messaging.Code) *guardrails.RequestSlot {
		t.Helper()
		slot, decision := requests.Admit(client, now, 0.5)
		if decision.Code != want || (slot != nil) != (want == "") {
			t.Fatalf("%s: %+v, want %q", client, decision, want)
		}
		if want != "" && (decision.RetryAfter < time.Second || decision.RetryAfter > time.Minute) {
			t.Errorf("%s: retry after %s", client, decision.RetryAfter)
		}
		return slot
	}
	a := admit("a", "")
	admit("a", "")
	admit("a", messaging.CodeClientRequestsExceeded)
	admit("b", "")
	c := admit("c", "")
	admit("d", messaging.CodeMaxRequestsExceeded)
	a.Release()
	a.Release() // which gives nothing back twice
	admit("d", "")
	admit("a", messaging.CodeMaxRequestsExceeded)
	c.Release()
	admit("a", "")
}

func TestRequestRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	requests := guardrails.NewRequests(guardrails.Limits{RequestsPerMinute: 60})
	ask := func(client string) messaging.Code {
		slot, decision := requests.Admit(client, now, 0)
		if slot != nil {
			slot.Release()
		}
		return decision.Code
	}
	for range 10 {
		if code := ask("a"); code != "" {
			t.Fatalf("refused with %s", code)
		}
	}
	if code := ask("a"); code != messaging.CodeRequestRateExceeded {
		t.Errorf("the request after the burst: %q", code)
	}
	if code := ask("b"); code != "" {
		t.Errorf("another client: %q", code)
	}
	now = now.Add(2 * time.Second)
	for i, want := range []messaging.Code{"", "", messaging.CodeRequestRateExceeded} {
		if code := ask("a"); code != want {
			t.Errorf("request %d after two seconds: %q, want %q", i, code, want)
		}
	}
	// However many clients ask, the one that asks all the time stays limited.
	for i := range 30_000 {
		ask(fmt.Sprint("client-", i))
		if i%1000 == 0 {
			if code := ask("a"); code != messaging.CodeRequestRateExceeded {
				t.Fatalf("after %d other clients: %q", i, code)
			}
		}
	}
	dry := guardrails.NewRequests(guardrails.Limits{MaxRequests: 1, DryRun: true})
	for i := range 3 {
		slot, decision := dry.Admit("a", now, 0)
		if slot == nil || decision.DryRun != (i > 0) {
			t.Errorf("dry run %d: %v, %+v", i, slot, decision)
		}
	}
}
