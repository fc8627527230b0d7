package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// A client can be ended as soon as it is registered, by another connect of its
// session: it has been completed by then, and leaves nothing behind.
func TestClientIsCompleteWhenItIsRegistered(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions()})
	c := newRecoverer(t)
	c.connect(s)
	for i := range 3 {
		jobID := fmt.Sprint("job-", i)
		c.subscribe(jobID)
		c.until(s.log, messaging.EventCaughtUp, jobID)
	}
	c.socket.Kill()
	wait(t, "the socket to be gone", func() bool { return s.snapshot().TotalConnections == 0 })

	var leaving sync.WaitGroup
	gateway.OnRegistered(s.gateway, func(leave func()) {
		left := make(chan struct{})
		leaving.Go(func() {
			leave()
			close(left)
		})
		select {
		case <-left: // before the client was complete
		case <-time.After(20 * time.Millisecond): // it waits for the client to be complete
		}
	})
	if !c.connect(s) {
		t.Error("not recovered")
	}
	<-c.socket.Ended()
	leaving.Wait()
	wait(t, "the slot and the subscriptions to be free", func() bool {
		now := s.snapshot()
		return now.TotalConnections == 0 && now.TotalSubscriptions == 0
	})
	if panics := s.metric("realtime_engineio_panics_total"); panics != 0 {
		t.Errorf("%v panics", panics)
	}
}

// Who knows the pid of a connected client and is not who the client is does not
// disturb it.
func TestRecoveryIsRefusedBeforeTheOwnerIsDisturbed(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions(), tokens: bookOf(t, time.Now().Add(time.Hour))})
	owner := newRecoverer(t)
	owner.token = "ann"
	owner.connectFrom(s, "https://a.example")
	owner.subscribe("a/1")
	owner.until(s.log, messaging.EventCaughtUp, "a/1")
	for _, thief := range []*recoverer{
		{t: t, token: "bob", pid: owner.pid, got: map[string][]uint64{}},
		{t: t, token: "ann", pid: owner.pid, got: map[string][]uint64{}},
	} {
		origin := "https://a.example"
		if thief.token == "ann" {
			origin = "https://b.example"
		}
		if thief.connectFrom(s, origin) {
			t.Errorf("%s from %s: recovered", thief.token, origin)
		}
	}
	owner.upTo(s.log, "a/1", s.log.publish("a/1", 1))
	if n := s.snapshot().SubscribersPerJob["a/1"]; n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

// Of twelve that recover one session at once, one gets it and keeps it; the others
// get sessions of their own.
func TestOneOfRacingRecoveriesWins(t *testing.T) {
	t.Parallel()
	for _, connected := range []bool{false, true} {
		t.Run(fmt.Sprintf("connected=%t", connected), func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{sessions: newMemorySessions()})
			first := newRecoverer(t)
			first.connect(s)
			first.subscribe("a")
			first.until(s.log, messaging.EventCaughtUp, "a")
			if !connected {
				first.socket.Kill()
				wait(t, "the socket to be gone", func() bool { return s.snapshot().TotalConnections == 0 })
			}
			const racers = 12
			sockets := make([]*socket.Socket, racers)
			for i := range sockets {
				sockets[i] = s.dialSocket("", 0)
			}
			auth := map[string]string{"pid": first.pid, "offset": first.offset}
			recovered := make([]bool, racers)
			var racing sync.WaitGroup
			for i, socket := range sockets {
				racing.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					answer, err := socket.Connect(ctx, auth)
					if err != nil {
						t.Errorf("racer %d: %v", i, err)
					}
					recovered[i] = answer.PID == first.pid
				})
			}
			racing.Wait()
			winners := 0
			for i, socket := range sockets {
				select {
				case <-socket.Ended():
					t.Errorf("racer %d was disconnected", i)
				default:
				}
				if recovered[i] {
					winners++
				}
			}
			if winners != 1 {
				t.Errorf("%d of %d recovered the session", winners, racers)
			}
			// The connection that was taken over may end a moment later.
			wait(t, "the connections of the racers alone, and one subscription", func() bool {
				now := s.snapshot()
				return now.TotalConnections == racers && now.SubscribersPerJob["a"] == 1
			})
		})
	}
}

// One client that opens many connections does not take the room of the sessions of
// others.
func TestFloodOfSessionsEvictsItsOwn(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	sessions.maxBytes = 256 << 10 // where the oldest are dropped, as the real store does it
	s := setup(t, options{sessions: sessions, sessionBytes: 128 << 10, proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	connect := func(address, pid, offset string) (*socket.Socket, socket.Session) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		header := http.Header{"X-Forwarded-For": {address}}
		conn, err := socket.Open(ctx, socket.Config{Endpoint: s.url + "/ws", Header: header, Queue: 1024})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Kill)
		connected, err := conn.Connect(ctx, map[string]string{"pid": pid, "offset": offset})
		if err != nil {
			t.Fatal(err)
		}
		return conn, connected
	}
	type visitor struct{ address, pid string }
	var honest []visitor
	for i := range 15 {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		conn, connected := connect(address, "", "")
		client := &socketClient{t: t, Socket: conn}
		client.subscribe("job")
		honest = append(honest, visitor{address, connected.PID})
		client.Kill()
	}
	wait(t, "the honest to be gone", func() bool { return s.snapshot().TotalConnections == 0 })
	for i := range 150 {
		conn, _ := connect("198.51.100.1", "", "")
		client := &socketClient{t: t, Socket: conn}
		for n := range 10 {
			client.emit("subscribe", request{JobID: fmt.Sprintf("%0200d-%d", n, i)})
		}
		for answered := 0; answered < 10; {
			if client.next().Name == messaging.EventSubscribed {
				answered++
			}
		}
		if i%2 == 0 {
			client.Kill()
		}
	}
	recovered := 0
	for _, v := range honest {
		if _, connected := connect(v.address, v.pid, ""); connected.PID == v.pid {
			recovered++
		}
	}
	t.Logf("%d of %d recovered", recovered, len(honest))
	if recovered != len(honest) {
		t.Errorf("%d of %d recovered", recovered, len(honest))
	}
}

// What a client names is bounded by what it can mean before anything of it is kept.
func TestFieldsOfRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, options{sessions: newMemorySessions()})
	c := s.connect()
	since := uint64(1)
	refusals := []struct {
		what string
		args any
		want messaging.Code
	}{
		{"epoch", request{JobID: "a", Since: &since, Epoch: strings.Repeat("e", 129)}, messaging.CodeSinceInvalid},
		{"jobId", request{JobID: strings.Repeat("j", 257)}, messaging.CodeJobIDInvalid},
		{"request", map[string]string{"jobId": "a", "more": strings.Repeat("x", 16<<10)}, messaging.CodeMessageTooLarge},
	}
	for _, r := range refusals {
		c.emit("subscribe", r.args)
		if problem := expect(t, c, messaging.EventError); problem.Code != r.want {
			t.Errorf("%s: %s, want %s", r.what, problem.Raw, r.want)
		}
	}
	if n := s.snapshot().TotalSubscriptions; n != 0 {
		t.Errorf("%d subscriptions", n)
	}
	var refused *socket.Refused
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := s.dialSocket("https://"+strings.Repeat("o", 300), 0).Connect(ctx, nil)
	if !errors.As(err, &refused) || refused.Data.Code != messaging.CodeOriginNotAllowed {
		t.Errorf("origin: %v", err)
	}
}

// The state of a session is bounded, however many jobs it has: what a change of a
// subscription costs is, too. One that is too large cannot be recovered.
func TestStateOfASessionIsBounded(t *testing.T) {
	t.Parallel()
	sessions := newMemorySessions()
	s := setup(t, options{sessions: sessions})
	c := newRecoverer(t)
	c.connect(s)
	for i := range 120 { // of 512 bytes each in JSON
		c.subscribe(fmt.Sprintf("%s%03d", strings.Repeat(`"`, 253), i))
	}
	wait(t, "the subscriptions", func() bool { return s.snapshot().TotalSubscriptions == 120 })
	sessions.set(func() {
		for _, state := range sessions.states {
			t.Errorf("a state of %d bytes is kept", len(state))
		}
		if sessions.largest > 48<<10 {
			t.Errorf("a state of %d bytes was saved", sessions.largest)
		}
	})
	c.socket.Kill()
	// Until the gateway has noticed, the session is the old socket's to hand over.
	wait(t, "the end of the connection", func() bool { return s.snapshot().TotalConnections == 0 })
	if c.connect(s) {
		t.Error("recovered")
	}
}
