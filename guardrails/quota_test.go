package guardrails_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	limits := guardrails.Limits{MessagesPerSecond: 10, SubscriptionChangesPerMinute: 3}
	tests := []struct {
		name string
		ask  func(*guardrails.Quota, time.Time, float64) guardrails.Decision
		want guardrails.Decision // the first refusal, with a jitter of 0.5
	}{
		{
			"messages", (*guardrails.Quota).Message,
			guardrails.Decision{Code: messaging.CodeMessageRateExceeded, Limit: 10, Current: 10, RetryAfter: 150 * time.Millisecond},
		},
		{
			"subscription changes", (*guardrails.Quota).Change,
			guardrails.Decision{Code: messaging.CodeSubscriptionRateExceeded, Limit: 3, Current: 3, RetryAfter: 30 * time.Second},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			quota := guardrails.NewQuota(limits)
			for i := range test.want.Limit {
				if decision := test.ask(quota, start, 0.5); decision != (guardrails.Decision{}) {
					t.Fatalf("request %d: %+v", i, decision)
				}
			}
			decision := test.ask(quota, start, 0.5)
			if decision != test.want || decision.Allowed() {
				t.Fatalf("decision %+v, want %+v", decision, test.want)
			}
			if decision := test.ask(quota, start.Add(decision.RetryAfter), 0.5); !decision.Allowed() {
				t.Errorf("refused after the advised wait: %+v", decision)
			}
		})
	}
}

func TestQuotaOff(t *testing.T) {
	t.Parallel()
	quota := guardrails.NewQuota(fewest)
	for range 10_000 {
		message, change := quota.Message(start, 0), quota.Change(start, 0)
		if message != (guardrails.Decision{}) || change != (guardrails.Decision{}) {
			t.Fatalf("decisions %+v and %+v without a limit", message, change)
		}
	}
}

// A client that comes back follows all its jobs at once.
func TestAMinutesChangesMayComeAtOnce(t *testing.T) {
	t.Parallel()
	quota := guardrails.NewQuota(guardrails.Limits{SubscriptionChangesPerMinute: 60})
	for i := range 60 {
		if decision := quota.Change(start, 0); !decision.Allowed() {
			t.Fatalf("change %d: %+v", i, decision)
		}
	}
	if quota.Change(start, 0).Allowed() {
		t.Error("the 61st change at once is allowed")
	}
}

func TestQuotaInADryRun(t *testing.T) {
	t.Parallel()
	quota := guardrails.NewQuota(guardrails.Limits{MessagesPerSecond: 1, DryRun: true})
	if decision := quota.Message(start, 0); decision.Code != "" {
		t.Fatalf("the first message: %+v", decision)
	}
	want := guardrails.Decision{Code: messaging.CodeMessageRateExceeded, Limit: 1, Current: 1, RetryAfter: time.Second, DryRun: true}
	for range 3 {
		if decision := quota.Message(start, 0); decision != want || !decision.Allowed() {
			t.Fatalf("decision %+v, want %+v", decision, want)
		}
	}
	if decision := quota.Message(start.Add(time.Second), 0); decision.Code != "" {
		t.Errorf("what was refused was spent all the same: %+v", decision)
	}
}

func TestQuotaUnderConcurrency(t *testing.T) {
	t.Parallel()
	quota := guardrails.NewQuota(guardrails.Limits{MessagesPerSecond: 100})
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if quota.Message(start, 0).Allowed() {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got := passed.Load(); got != 100 {
		t.Errorf("%d messages passed, want 100", got)
	}
}
