package gateway

import (
	"testing"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// A storm of refusals is one line a second for each code, which says how many
// were not written.
func TestRefusalsAreWrittenOnceASecond(t *testing.T) {
	t.Parallel()
	var r refusals
	start := time.Unix(0, 0)
	expect := func(code messaging.Code, after time.Duration, wantSilent int, wantSay bool) {
		t.Helper()
		if silent, say := r.note(code, start.Add(after)); silent != wantSilent || say != wantSay {
			t.Errorf("%s after %s: %d silent, written %t; want %d, %t", code, after, silent, say, wantSilent, wantSay)
		}
	}
	full, foreign := messaging.CodeMaxConnectionsExceeded, messaging.CodeOriginNotAllowed
	expect(full, 0, 0, true)
	expect(full, 400*time.Millisecond, 0, false)
	expect(foreign, 400*time.Millisecond, 0, true)
	expect(full, 999*time.Millisecond, 0, false)
	expect(full, time.Second, 2, true)
	expect(full, 1500*time.Millisecond, 0, false)
	expect(full, 10*time.Second, 1, true)
}
