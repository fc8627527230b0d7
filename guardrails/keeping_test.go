package guardrails_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
)

func TestKeeping(t *testing.T) {
	t.Parallel()
	const size = 1000 - guardrails.KeptOverheadBytes
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := guardrails.NewKeeping(10_000)
	keep := func(id, owner string, want ...string) {
		t.Helper()
		evicted, keeps := k.Keep(id, "", owner, size)
		var got []string
		for _, e := range evicted {
			got = append(got, e.ID)
		}
		if !keeps || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("keep %s of %s: %t, evicted %v, want %v", id, owner, keeps, got, want)
		}
	}
	refuse := func(id, owner string) {
		t.Helper()
		if evicted, keeps := k.Keep(id, "", owner, size); keeps || len(evicted) > 0 {
			t.Errorf("keep %s of %s: %t, evicted %v", id, owner, keeps, evicted)
		}
	}
	for i := range 3 {
		keep(fmt.Sprint("small-", i), "small")
	}
	for i := range 7 {
		keep(fmt.Sprint("large-", i), "large")
	}
	refuse("large-7", "large") // all are connected
	k.Leave("small-0", at)
	refuse("large-7", "large") // who has the most does not take the room of who has less
	k.Leave("large-2", at.Add(time.Second))
	k.Leave("large-1", at.Add(2*time.Second))
	keep("large-7", "large", "large-2") // gone for longest
	keep("small-3", "small", "large-1")
	refuse("large-8", "large")
	keep("small-0", "small") // is back
	k.Leave("large-3", at.Add(3*time.Second))
	k.Expire(at.Add(4 * time.Second))
	keep("new", "new")
	k.Drop("new")
	k.Drop("unknown")
	if got := k.Bytes(); got != 9000 {
		t.Errorf("%d bytes are kept", got)
	}
	if _, keeps := k.Keep("huge", "", "other", 20_000); keeps {
		t.Error("more than the bound is kept")
	}
}
