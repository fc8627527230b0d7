package gateway_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// realLog is the log on an embedded server, as fan-out wants to see it: what
// internal/server wires.
type realLog struct{ *eventstore.Log }

// Extent implements fanout.Log.
func (l realLog) Extent(ctx context.Context) (messaging.Extent, error) {
	return l.State(ctx)
}

// line is the network between a gateway and NATS, which a test cuts.
type line struct {
	mu    sync.Mutex // guards the fields below
	cut   bool
	conns []net.Conn
}

// Dial implements nats.CustomDialer.
func (l *line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.New("the line is cut")
	}
	conn, err := net.Dial(network, address)
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

// ear stands between the live tail and the hub: it may miss what comes, or hold
// up the tail.
type ear struct {
	hub *hub.Hub

	mu   sync.Mutex // guards the fields below
	miss func(sequence uint64) bool
	hold chan struct{} // when set, Live waits until it is closed
}

func (e *ear) Live(live messaging.Live) {
	e.mu.Lock()
	missed, hold := e.miss != nil && e.miss(live.Sequence), e.hold
	e.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if !missed {
		e.hub.Live(live)
	}
}

func (e *ear) Disrupted(cause messaging.Disruption) { e.hub.Disrupted(cause) }

func (e *ear) set(miss func(uint64) bool, hold chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.miss, e.hold = miss, hold
}

// realStage is a gateway on a real log.
type realStage struct {
	*stage
	line *line
	ear  *ear
	// append stores n events past the line, and returns the last sequence.
	append func(jobID string, n int) uint64
	// clients are live on the job; had is what they were given after that.
	clients []client
	had     map[client]uint64
}

func setupReal(t *testing.T) *realStage {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	open := func(options ...nats.Option) *eventstore.Log {
		conn, err := eventstore.Connect(t.Context(), server.ClientURL(), eventstore.ConnConfig{Options: options})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	elsewhere := open()
	r := &realStage{line: &line{}, ear: &ear{}, had: make(map[client]uint64)}
	log := open(nats.SetCustomDialer(r.line))
	tail := eventstore.NewTail(log)
	r.stage = setup(t, options{source: realLog{log}, live: tail, withoutDB: true, config: func(c *hub.Config) {
		rarelyChecked(c)
		c.CheckDelay = c.CheckInterval // what is found is found for its cause
	}})
	r.ear.hub = r.hub
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tail.Run(ctx, r.ear) }() // ends with cancel
	t.Cleanup(func() {
		r.ear.set(nil, nil)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	r.append = func(jobID string, n int) uint64 {
		t.Helper()
		records := make([]messaging.Record, n)
		for i := range records {
			records[i] = record(jobID, 10)
			records[i].MessageID = rand.Text()
		}
		if err := maintain.Of(elsewhere).AppendAll(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		last, err := elsewhere.LastSequence(t.Context(), jobID)
		if err != nil {
			t.Fatal(err)
		}
		return last
	}
	return r
}

// TestGapsAreRepairedByCause: on a real log, whatever keeps live records from a
// gateway, no client notices, and the repair is counted for what it was.
func TestGapsAreRepairedByCause(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cause string
		// lose has the gateway miss some of the events that it publishes, and returns
		// the last one's sequence and what is to be done in the end.
		lose func(t *testing.T, r *realStage) (last uint64, mend func())
	}{
		{cause: "dropped", lose: func(_ *testing.T, r *realStage) (uint64, func()) {
			r.ear.set(func(sequence uint64) bool { return sequence == 6 || sequence == 7 }, nil)
			return r.append("job", 5), func() {}
		}},
		{cause: "reconnect", lose: func(t *testing.T, r *realStage) (uint64, func()) {
			r.append("job", 1)
			for _, c := range r.clients {
				expectEvents(t, c, 5)
				r.had[c] = 5
			}
			r.line.set(true)
			last := r.append("job", 5)
			r.line.set(false)
			return last, func() {}
		}},
		{cause: "overflow", lose: func(_ *testing.T, r *realStage) (uint64, func()) {
			hold := make(chan struct{})
			r.ear.set(nil, hold)
			return r.append("job", 4500), func() { // a queue of the tail holds 4096
				r.ear.set(nil, nil)
				close(hold)
			}
		}},
	} {
		t.Run(test.cause, func(t *testing.T) {
			t.Parallel()
			r := setupReal(t)
			r.append("job", 4)
			socket := r.connect()
			socket.subscribe("job")
			r.clients = []client{socket, r.stream("job", "")}
			for _, c := range r.clients {
				expectEvents(t, c, span(1, 4)...)
				expect(t, c, messaging.EventCaughtUp)
			}
			last, mend := test.lose(t, r)
			for _, c := range r.clients {
				expectEvents(t, c, span(max(4, r.had[c])+1, last)...)
			}
			mend()
			next := r.append("job", 1)
			for _, c := range r.clients {
				expectEvents(t, c, next)
			}
			for cause, count := range r.byLabel("realtime_fanout_repairs_total") {
				if (count > 0) != (cause == test.cause) {
					t.Errorf("%v repairs are counted as %s", count, cause)
				}
			}
			if gaps := r.metric("realtime_fanout_gaps_total"); gaps > 0 {
				t.Errorf("clients were told of %v gaps", gaps)
			}
		})
	}
}
