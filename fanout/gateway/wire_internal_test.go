package gateway

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/hub"
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

// twoJobs returns the offset of a socket that follows a second job, up to a sequence.
func twoJobs(sequence uint64) offset {
	var o offset
	o.set("epoch", jobKey("other"), sequence)
	return o
}

// eventOf returns an event with a payload of some size, and its forms.
func eventOf(size int) (*hub.Event, *wireForms) {
	ev := &hub.Event{
		JobID: "job", Sequence: 7, Epoch: "epoch", Name: "novel.domain-event",
		Payload: []byte(`{"padding":"` + strings.Repeat("x", size) + `"}`),
	}
	ev.Wire = Encoder{Offsets: true}.Encode(ev)
	return ev, formsOf(ev)
}

// TestPacketIsSharedByEqualOffsets: sockets that follow the same jobs, and have come as far
// in them, share a packet while an event is handed on; others get their own, and nothing of
// it is kept after that.
func TestPacketIsSharedByEqualOffsets(t *testing.T) {
	t.Parallel()
	ev, forms := eventOf(100)
	next := func(sequence uint64) []byte {
		return forms.packetWith(twoJobs(sequence).with(ev.Epoch, forms.key, ev.Sequence))
	}
	first, second, other, again := next(3), next(3), next(4), next(3)
	if &first[0] != &second[0] || &first[0] == &other[0] {
		t.Error("equal offsets have packets of their own, or different ones share a packet")
	}
	if !bytes.Equal(first, again) || bytes.Equal(first, other) {
		t.Errorf("packets %s, %s, %s", first, again, other)
	}
	forms.Settle()
	if late, later := next(4), next(4); &late[0] == &later[0] || !bytes.Equal(late, other) || forms.shared[0].Load() != nil {
		t.Error("a packet is kept after the event was handed on")
	}
}

// BenchmarkPacketsOfTwoJobs makes the packets of one event for a thousand sockets that
// follow the same two jobs.
func BenchmarkPacketsOfTwoJobs(b *testing.B) {
	for _, size := range []int{300, 200_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			ev, _ := eventOf(size)
			sockets := make([]offset, 1000)
			for i := range sockets {
				sockets[i] = twoJobs(3)
			}
			b.ReportAllocs()
			for b.Loop() {
				forms := Encoder{Offsets: true}.Encode(ev).(*wireForms)
				for _, o := range sockets {
					_ = forms.packetWith(o.with(ev.Epoch, forms.key, ev.Sequence))
				}
			}
		})
	}
}
