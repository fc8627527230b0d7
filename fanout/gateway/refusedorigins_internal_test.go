package gateway

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// Each refused origin is one line a minute, and what is remembered is bounded
// whatever clients send.
func TestRefusedOriginsAreWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	var r refusedOrigins
	start := time.Unix(0, 0)
	expect := func(origin string, after time.Duration, wantName string, wantSilent int, wantSay bool) {
		t.Helper()
		if name, silent, say := r.note(origin, start.Add(after)); name != wantName || silent != wantSilent || say != wantSay {
			t.Errorf("%.20s after %s: %q, %d silent, written %t; want %q, %d, %t", origin, after, name, silent, say, wantName, wantSilent, wantSay)
		}
	}
	expect("https://a.example", 0, "https://a.example", 0, true)
	expect("https://a.example", 59*time.Second, "https://a.example", 0, false)
	expect("https://b.example", 59*time.Second, "https://b.example", 0, true)
	expect("https://a.example", time.Minute, "https://a.example", 1, true)
	long := strings.Repeat("x", 10_000)
	expect(long, time.Minute, long[:maxLoggedOrigin], 0, true)
	for i := range 10_000 {
		r.note("https://"+strconv.Itoa(i)+".example", start.Add(time.Minute))
	}
	if len(r.last) > maxRefusedOrigins+1 {
		t.Errorf("%d origins are remembered", len(r.last))
	}
	expect("https://last.example", time.Minute+time.Second, otherOrigins, 0, false)
	expect("https://last.example", 3*time.Minute, "https://last.example", 0, true)
}
