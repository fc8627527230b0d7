package gateway_test

import (
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/guardrails"
)

// TestEveryAcknowledgementIsGiven: socket.io-client sends one event at a time with
// retries, and the next one only when it was acknowledged.
func TestEveryAcknowledgementIsGiven(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{MaxSubscriptionsPerClient: 1, MaxMessageBytes: 200}})
	c := s.connect()
	for _, test := range []struct {
		name, want string
		args       []any
	}{
		{"ping", `{"ok":true}`, nil},
		{"ping", `{"ok":true}`, []any{"why not"}},
		{"no.such.event", `{"ok":false,"message":"The event is not known.","code":"UNKNOWN_EVENT"}`, []any{1, 2}},
		{"error", `"code":"UNKNOWN_EVENT"`, nil},
		{"subscribe", `"code":"JOB_ID_REQUIRED"`, nil},
		{"subscribe", `"message":"jobId must be a string.","code":"JOB_ID_INVALID"`, []any{map[string]any{"jobId": 42}}},
		{"subscribe", `"jobId":"job"`, []any{map[string]any{"jobId": " job\t"}}},
		{"subscribe", `"code":"SUBSCRIPTION_LIMIT_REACHED"`, []any{map[string]any{"jobId": "other"}}},
		{"unsubscribe", `"jobId":"job"`, []any{map[string]any{"jobId": "job "}}},
		{"unsubscribe", `"code":"JOB_ID_REQUIRED"`, []any{map[string]any{"jobId": " "}}},
		{"refresh", `"ok":true`, []any{map[string]any{"token": "x"}}},
		{"no.such.event", `"code":"MESSAGE_TOO_LARGE"`, []any{strings.Repeat("x", 300)}},
		{"no.such.event", `"code":"UNKNOWN_EVENT"`, []any{[]byte("attached"), []byte("twice")}},
		{"no.such.event", `"code":"MESSAGE_TOO_LARGE"`, []any{make([]byte, 300)}},
		{"subscribe", `"jobId":"job"`, []any{map[string]any{"jobId": "job"}, []byte("attached")}},
	} {
		if got := c.ask(test.name, test.args...); !strings.Contains(got, test.want) {
			t.Errorf("%s %.60v: acknowledged with %s, want %s", test.name, test.args, got, test.want)
		}
	}
}
