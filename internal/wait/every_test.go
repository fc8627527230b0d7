package wait_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

// Work is repeated at each interval until its end, which may be asked for twice.
func TestEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		end := wait.Every(time.Second, func() bool { calls++; return true })
		time.Sleep(3500 * time.Millisecond)
		end()
		end()
		time.Sleep(time.Minute)
		if calls != 3 {
			t.Errorf("%d calls, want 3", calls)
		}
	})
}

// Work that wants no further call ends the goroutine.
func TestEveryEndsWithItsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		calls := 0
		end := wait.Every(time.Second, func() bool { calls++; return calls < 2 })
		time.Sleep(time.Minute)
		synctest.Wait() // orders the calls before what follows for the race detector
		if calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
		end()
	})
}

// The end waits for a call that is under way.
func TestEndOfEveryWaitsForACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := false
		end := wait.Every(time.Second, func() bool {
			time.Sleep(time.Minute)
			ended = true
			return true
		})
		time.Sleep(2 * time.Second)
		end()
		if !ended {
			t.Error("the call goes on after the end")
		}
	})
}
