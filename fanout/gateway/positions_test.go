package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// TestPositionsTravelWhole: what a client keeps, whatever its transport, names the
// life of the log that it is of. After the log was re-created, and has as many events
// again, the client is told, and gets them all.
func TestPositionsTravelWhole(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true})
	s.log.publish("job", 5)
	stream := s.stream("job", "")
	var kept string // by an EventSource
	for range 5 {
		kept = stream.next().SSE
	}
	socket := s.connect()
	socket.subscribe("job")
	expectEvents(t, socket, span(1, 5)...)
	caught := expect(t, socket, messaging.EventCaughtUp)
	page := s.events("job", "")
	for where, position := range map[string]string{"id of a stream": kept, "novel.caught-up": caught.Position, "page": page.Position} {
		if position != "epoch-1:5" {
			t.Errorf("%s: position %q", where, position)
		}
	}
	if page.Epoch != "epoch-1" || page.Gap != nil {
		t.Errorf("page of epoch %q, gap %v", page.Epoch, page.Gap)
	}
	if next := s.events("job", "since="+page.Position); next.Count != 0 || next.Position != page.Position || next.Gap != nil {
		t.Errorf("nothing more: %+v", next)
	}
	stream.close()

	s.log.set(func(l *memoryLog) { l.renew() })
	s.log.publish("job", 8)
	s.hub.Disrupted(messaging.DisruptionReconnect)
	expectGap(t, socket, 5, 1, messaging.GapEpoch) // the hub has learned of it
	socket.close()
	again := s.stream("job", kept)
	expectGap(t, again, 5, 1, messaging.GapEpoch)
	expectEvents(t, again, span(1, 8)...)
	for since, epoch := range map[any]string{"epoch-1:5": "", 5: "epoch-1", "5": "epoch-1"} {
		socket := s.connect()
		socket.emit("subscribe", map[string]any{"jobId": "job", "since": since, "epoch": epoch})
		expect(t, socket, messaging.EventSubscribed)
		expectGap(t, socket, 5, 1, messaging.GapEpoch)
		expectEvents(t, socket, span(1, 8)...)
		if m := expect(t, socket, messaging.EventCaughtUp); m.Position != "epoch-1':8" {
			t.Errorf("since %v: caught up at %q", since, m.Position)
		}
		socket.close()
	}
	for _, query := range []string{"since=" + kept, "since=9", "since=epoch-1':9", "before=" + kept} {
		got := s.events("job", query+"&limit=6")
		want := span(3, 8)
		if strings.HasPrefix(query, "before") {
			want = back(8, 3)
		}
		sameSequences(t, got.sequences(), want)
		if got.Gap == nil || got.Gap.Reason != messaging.GapEpoch || got.Gap.FirstAvailable != 1 || got.Gap.Epoch != "epoch-1'" || got.Position != "epoch-1':8" {
			t.Errorf("%s: gap %+v, position %q", query, got.Gap, got.Position)
		}
	}
	// A bare sequence is one of the present life, and is never more than that.
	if got := s.events("job", "since=5"); got.Gap != nil || got.Count != 3 {
		t.Errorf("since=5: %+v", got)
	}
}

// TestPagesTellGaps: a page says what it cannot have, as a subscription does, and the
// position beside it leads past the gap.
func TestPagesTellGaps(t *testing.T) {
	t.Parallel()
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("without MongoDB %t", without), func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{withoutDB: without})
			s.log.publish("job", 300)
			s.log.set(func(l *memoryLog) { l.retain(101) })
			got := s.events("job", "since=epoch-1:50&limit=5")
			if !without {
				sameSequences(t, got.sequences(), span(51, 55))
				if got.Gap != nil || got.Position != "epoch-1:55" {
					t.Errorf("MongoDB has them: gap %+v, position %q", got.Gap, got.Position)
				}
				return
			}
			sameSequences(t, got.sequences(), span(101, 105))
			if got.Gap == nil || got.Gap.Requested != 50 || got.Gap.FirstAvailable != 101 || got.Gap.Reason != messaging.GapRetention || got.Position != "epoch-1:105" {
				t.Errorf("gap %+v, position %q", got.Gap, got.Position)
			}
			for position, total := got.Position, 5; ; {
				got = s.events("job", "limit=70&since="+position)
				if got.Gap != nil {
					t.Errorf("from %s: gap %+v", position, got.Gap)
				}
				total += got.Count
				if position = got.Position; got.Count > 0 {
					continue
				}
				if total != 200 || position != "epoch-1:300" {
					t.Errorf("%d events, the last position %q", total, position)
				}
				break
			}
		})
	}
}

// TestErasedPages: what was erased is a gap of that reason.
func TestErasedPages(t *testing.T) {
	t.Parallel()
	erasures := &notes{}
	s := setup(t, options{erasures: erasures})
	s.log.publish("job", 10)
	erasures.erase("job", 6)
	s.hub.ErasureNoted()
	wait(t, "the erasure to count", func() bool { return s.events("job", "since=epoch-1:2").Gap != nil })
	got := s.events("job", "since=epoch-1:2")
	sameSequences(t, got.sequences(), span(7, 10))
	if got.Gap.Reason != messaging.GapErased || got.Gap.Requested != 2 || got.Gap.FirstAvailable != 7 || got.Position != "epoch-1:10" {
		t.Errorf("gap %+v, position %q", got.Gap, got.Position)
	}
}
