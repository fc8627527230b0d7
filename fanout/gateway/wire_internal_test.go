package gateway

import (
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// TestStreamIDsAreWholePositions: an id that names no epoch would be taken for one of
// whatever life the log has when the client resumes.
func TestStreamIDsAreWholePositions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at   messaging.Position
		want string
	}{
		{messaging.Position{Epoch: "e", Sequence: 17}, "event: e\nid: e:17\ndata: {}\n\n"},
		{messaging.Position{Sequence: 17}, "event: e\ndata: {}\n\n"},
		{messaging.Position{Epoch: "e"}, "event: e\ndata: {}\n\n"},
	} {
		if got := string(streamBlock("e", test.at, []byte("{}"))); got != test.want {
			t.Errorf("at %v: %q, want %q", test.at, got, test.want)
		}
	}
}
