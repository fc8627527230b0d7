package jet_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// A call that panics makes Within panic in its caller's goroutine, and one that was given
// up costs nothing.
func TestWithinPassesPanicsOn(t *testing.T) {
	t.Parallel()
	func() {
		defer func() {
			if cause := fmt.Sprint(recover()); !strings.HasPrefix(cause, "for the test\n") || !strings.Contains(cause, "within_test.go") {
				t.Errorf("recovered %s", cause)
			}
		}()
		_, _ = jet.Within(t.Context(), func() (int, error) { panic("for the test") })
	}()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	given, ended := make(chan struct{}), make(chan struct{})
	if _, err := jet.Within(ctx, func() (int, error) {
		<-given
		defer close(ended)
		panic("for the test")
	}); err == nil {
		t.Error("no error")
	}
	close(given)
	<-ended
}
