package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// replayOf is an event of a job as an operator shows it.
func replayOf(room, job string, sequence uint64) messaging.Replay {
	return messaging.Replay{
		Record: messaging.Record{
			Position: messaging.Position{Epoch: "epoch-1", Sequence: sequence}, JobID: job, Kind: messaging.KindDomain,
			ID: fmt.Sprintf("%s-%d", job, sequence), EmittedAt: "2020-01-01T00:00:00.000Z",
			Body: []byte(`{"kind":"domain","event":{"type":"t","occurredAt":"o"}}`),
		},
		Room: room, Run: "r1",
	}
}

// TestReplaysAreShown: whoever is live is shown a replay, marked and without a
// sequence, and everybody gets the job's own events as if there had been none.
func TestReplaysAreShown(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions()})
	s.log.publish("job", 3)
	s.log.publish("other", 1)
	socket := s.connect()
	socket.subscribe("job")
	expectEvents(t, socket, 1, 2, 3)
	stream := s.stream("job", "")
	expectEvents(t, stream, 1, 2, 3)
	clients := map[string]client{"socket": socket, "stream": stream}
	for name, c := range clients {
		if m := expect(t, c, messaging.EventCaughtUp); m.To != 3 {
			t.Errorf("%s: caught up to %d", name, m.To)
		}
	}
	if followers := s.hub.Followers("job"); followers != 2 {
		t.Errorf("%d followers, want 2", followers)
	}
	if followers := s.hub.Followers("other"); followers != 0 {
		t.Errorf("%d followers of a job that nobody follows", followers)
	}
	s.hub.Show(replayOf("job", "job", 2))
	s.hub.Show(replayOf("job", "other", 4))
	s.hub.Show(replayOf("other", "other", 4)) // nobody is there
	strange := replayOf("job", "job", 2)
	strange.Kind = "unheard-of"
	s.hub.Show(strange) // nobody could make anything of it
	s.log.publish("job", 1)
	for name, c := range clients {
		for _, want := range []string{
			`"id":"job-2","replay":{"jobId":"job","sequence":2,"epoch":"epoch-1","run":"r1"}`,
			`"id":"other-4","replay":{"jobId":"other","sequence":4,"epoch":"epoch-1","run":"r1"}`,
		} {
			m := c.next()
			if m.Name != "novel.domain-event" || m.JobID != "job" || m.Sequence != 0 || m.SSE != "" || !strings.Contains(m.Raw, want) {
				t.Errorf("%s: got %s %s, want %s", name, m.Name, m.Raw, want)
			}
		}
		expectEvents(t, c, 5)
	}
	// A later client knows nothing of it, and neither do resumed ones.
	late := s.stream("job", "3")
	expectEvents(t, late, 5)
	expect(t, late, messaging.EventCaughtUp)
}

// TestReplaysOvertakeNobody shows replays to a client that takes nothing: it is not
// made to wait for them, they are dropped, and its own events come.
func TestReplaysOvertakeNobody(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	s.log.publish("job", 1)
	c := s.connectFrom("", 1)
	c.subscribe("job")
	expectEvents(t, c, 1)
	expect(t, c, messaging.EventCaughtUp)
	big := replayOf("job", "job", 1)
	text, err := json.Marshal(strings.Repeat("x", 100_000))
	if err != nil {
		t.Fatal(err)
	}
	big.Body = fmt.Appendf(nil, `{"kind":"domain","event":{"type":"t","occurredAt":"o","text":%s}}`, text)
	sent := 0
	for s.outcome("missed") == 0 { // more than all buffers between here and there
		s.hub.Show(big)
		sent++
	}
	s.log.publish("job", 1)
	shown := 0
	for m := c.next(); m.Sequence != 2; m = c.next() {
		if m.Name != "novel.domain-event" || m.Sequence != 0 {
			t.Fatalf("got %.200s", m.Raw)
		}
		shown++
	}
	if shown != sent-1 || s.outcome("shown") != float64(shown) {
		t.Errorf("the client was shown %d of %d, and %v are counted", shown, sent, s.outcome("shown"))
	}
	if falls := s.metric("realtime_fanout_fallbacks_total"); falls > 1 {
		t.Errorf("%v fall-backs", falls)
	}
}

// outcome returns how many replays have had an outcome.
func (s *stage) outcome(name string) float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "realtime_fanout_replays_total" && metric.GetLabel()[0].GetValue() == name {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}
