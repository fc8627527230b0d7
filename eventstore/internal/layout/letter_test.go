package layout_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

func TestOneLineIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 700, -1).Draw(rt, "text")
		got := layout.EncodeLetter(messaging.DeadLetter{Detail: text}, 0).Header.Get("Novel-Detail")
		if len(got) > 512 || slices.ContainsFunc([]rune(got), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			rt.Fatalf("%q", got)
		}
	})
}
