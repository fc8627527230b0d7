package engineio_test

import (
	"testing"
	"testing/synctest"

	"github.com/letswriteabook/realtime/internal/pipenet"
)

// onFakeClock runs a test against a server whose time costs nothing.
func onFakeClock(t *testing.T, opts options, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		listener := pipenet.Listen()
		opts.listener, opts.dial = listener, listener.Dial
		test(t, setup(t, opts))
	})
}
