package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// mongoOf returns the URI of a database of the test's own.
func mongoOf(t *testing.T) string {
	db := mongokit.URI()
	return db[:strings.LastIndex(db, "/")+1] + mongokit.DatabaseName(t)
}

// errTooFew says that a leg was not exercised often enough yet.
var errTooFew = errors.New("too few runs")

// The log takes the events of all jobs but one, whose subject is forbidden. The exercise takes as long as the write may be under way, ten seconds.
func TestNeedsOfAnIngestThatStands(t *testing.T) {
	t.Parallel()
	least, narrow := leastOfNATS(), leastOfNATS()
	narrow = narrow.without("novel.>", false)
	narrow.publish = append(narrow.publish, "novel.events.canary.>", "novel.events.good", "novel.deadletter.>", "novel.identity.>", "novel.live.>", "novel.audit.>", "novel.gateways.>")
	server, store := startGuarded(t, least), testkit.StartRedis(t)
	client := store.Client()
	n := startNeeding(t, map[string]string{"NATS_URL": server.url("realtime"), "REDIS_URL": store.URL()})
	publish := func(ctx context.Context, job string, number int) {
		envelope := fmt.Sprintf(`{"kind":"domain","jobId":%q,"event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z","n":%d}}`, job, number)
		if err := client.Publish(ctx, messaging.EventsChannel, envelope).Err(); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	flow, stop := context.WithCancel(t.Context())
	var flowing sync.WaitGroup
	t.Cleanup(flowing.Wait)
	t.Cleanup(stop)
	n.during(outage{
		state: "degraded", part: "ingest", says: "events are not handed on", area: "redis", do: "restart the gateway",
		sample: `realtime_app_canary_failing{cause="stands",leg="ingest"}`, alert: `RealtimeNeedNotMet{leg="ingest",cause="stands"}`,
		warned: true, // of the append that is tried again
	}, func() {
		server.grant(narrow)
		publish(t.Context(), "forbidden", 0)
		flowing.Go(func() { // ends with the test, or before the end of the outage
			for n := 0; wait.For(flow, 100*time.Millisecond) == nil; n++ {
				publish(flow, "good", n)
			}
		})
	}, func() {
		stop()
		flowing.Wait()
		server.grant(least)
	})
}

// NATS takes and delivers everything, but the live messages of jobs, which a proxy on the
// way to it swallows.
func TestNeedsOfALiveTailThatStands(t *testing.T) {
	t.Parallel()
	server := startGuarded(t, leastOfNATS())
	var filter liveFilter
	relay := testkit.StartFilter(t, server.addr, filter.pass)
	n := startNeeding(t, map[string]string{"NATS_URL": "nats://realtime:p@" + relay.Addr})
	n.during(outage{
		state: "degraded", part: "live", says: "does not arrive in 4 of 4 queues of the live tail",
		sample: `realtime_app_canary_failing{cause="stands",leg="live"}`, alert: `RealtimeNeedNotMet{leg="live",cause="stands"}`,
	}, func() { filter.swallow.Store(true) }, func() { filter.swallow.Store(false) })
}

// liveFilter swallows the messages of jobs' tokens below novel.live, while swallow is set,
// from what NATS sends.
type liveFilter struct{ swallow atomic.Bool }

// pass copies what the server sends: lines, and payloads after those that begin with MSG or
// HMSG, whose last field is the size of the payload.
func (f *liveFilter) pass(client io.Writer, from io.Reader) {
	server := bufio.NewReader(from)
	for {
		line, err := server.ReadString('\n')
		if err != nil {
			return
		}
		message, fields := []byte(line), strings.Fields(line)
		if len(fields) > 3 && (fields[0] == "MSG" || fields[0] == "HMSG") {
			size, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return
			}
			payload := make([]byte, size+2) // and the end of the line
			if _, err := io.ReadFull(server, payload); err != nil {
				return
			}
			token, live := strings.CutPrefix(fields[1], "novel.live.")
			if f.swallow.Load() && live && !strings.Contains(token, ".") {
				continue
			}
			message = append(message, payload...)
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// A tool has paused the consumer of a projection, while nothing is published. It may stand
// for half a minute.
func TestNeedsOfAConsumerThatStands(t *testing.T) {
	t.Parallel()
	server := startGuarded(t, leastOfNATS())
	n := startNeeding(t, map[string]string{
		"NATS_URL": server.url("realtime"), "MONGODB_URI": mongoOf(t),
	})
	js := server.admin()
	n.during(outage{
		state: "degraded", part: "projections", says: `the consumer "history" is paused`, area: "log", do: "realtime operations",
		sample: `realtime_app_canary_failing{cause="stands",leg="projections"}`, alert: `RealtimeNeedNotMet{leg="projections",cause="stands"}`,
	}, func() {
		if _, err := js.PauseConsumer(t.Context(), "NOVEL_EVENTS", "history", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}, func() {
		if _, err := js.ResumeConsumer(t.Context(), "NOVEL_EVENTS", "history"); err != nil {
			t.Fatal(err)
		}
	})
}

// The gateway exercises each way also while nothing is published. What the exercises store is
// not delivered to clients.
func TestWaysAreExercisedWhileIdle(t *testing.T) {
	t.Parallel()
	server, store := startGuarded(t, leastOfNATS()), testkit.StartRedis(t)
	settings := map[string]string{
		"NATS_URL": server.url("realtime"), "REDIS_URL": store.URL(), "MONGODB_URI": mongoOf(t),
	}
	gateways := []*needing{startNeeding(t, settings), startNeeding(t, settings)}
	for _, n := range gateways {
		n.until("the gateway is well", func() error { return n.well(nothing) })
		for _, leg := range []string{"ingest", "live", "projections"} {
			before := n.runs(leg)
			n.until(leg+" is exercised", func() error {
				if n.runs(leg) < before+needRuns {
					return errTooFew
				}
				return nil
			})
		}
		if err := n.well(nothing); err != nil {
			t.Error(err)
		}
		var metrics struct{ SubscribersPerJob map[string]int }
		if err := json.Unmarshal([]byte(n.get("/internal/realtime/metrics")), &metrics); err != nil {
			t.Fatal(err)
		}
		if len(metrics.SubscribersPerJob) > 0 {
			t.Errorf("jobs %v", metrics.SubscribersPerJob)
		}
	}
	js := server.admin()
	for name, most := range map[string]uint64{"NOVEL_EVENTS": 0, "NOVEL_DEADLETTER": 0, "NOVEL_IDENTITY": 40} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if n := stream.CachedInfo().State.Msgs; n > most {
			t.Errorf("%s has %d messages", name, n)
		}
	}
}

// The user of MongoDB may change documents and may not insert any, while nothing is
// published: the consumers of the projections have nothing to do.
func TestNeedsOfAProjectionThatCannotWrite(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t))})
	n.during(outage{
		state: "degraded", part: "projections", warned: true, says: "cannot insert into", do: "the rights of the user",
		sample: `realtime_app_canary_failing{cause="stands",leg="projections"}`, alert: `RealtimeNeedNotMet{leg="projections",cause="stands"}`,
	}, func() {
		guard.Allow(func(command string) bool { return command != "insert" && mongokit.ReadWrite(command) })
	}, func() { guard.Allow(mongokit.ReadWrite) })
}

// MongoDB does not answer to the inserts of the projections, so that they do not take their
// turn. Each write is given up after its time, and another is begun. A projection may stand
// for half a minute, as the consumer above.
func TestNeedsOfAProjectionThatHangs(t *testing.T) {
	t.Parallel()
	guard := mongokit.StartGuard(t)
	hung := make(chan struct{})
	release := sync.OnceFunc(func() { close(hung) })
	n := startNeeding(t, map[string]string{"MONGODB_URI": guard.URI(mongokit.DatabaseName(t))})
	t.Cleanup(release) // before the stop of the gateway
	n.during(outage{
		state: "degraded", part: "projections", warned: true, says: "the projection does not write",
		sample: `realtime_app_canary_failing{cause="stands",leg="projections"}`, alert: `RealtimeNeedNotMet{leg="projections",cause="stands"}`,
	}, func() {
		guard.Allow(func(command string) bool {
			if command == "insert" {
				<-hung
			}
			return mongokit.ReadWrite(command)
		})
	}, func() {
		guard.Allow(mongokit.ReadWrite)
		release()
	})
}
