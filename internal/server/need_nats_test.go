package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/operations/examine"
)

// grants are the permissions of a NATS user.
type grants struct{ publish, subscribe []string }

// leastOfNATS are the lines of docs/ops/permissions.md.
func leastOfNATS() grants {
	return grants{
		publish:   []string{"novel.>", "$JS.API.>", "_INBOX.>", "$JS.ACK.>", "$KV.NOVEL_SESSIONS.>", "$KV.NOVEL_GATEWAYS.>"},
		subscribe: []string{"novel.>", "_INBOX.>"},
	}
}

// without returns the grants without a line.
func (g grants) without(line string, subscribe bool) grants {
	list := &g.publish
	if subscribe {
		list = &g.subscribe
	}
	*list = slices.DeleteFunc(slices.Clone(*list), func(l string) bool { return l == line })
	return g
}

// guarded is a NATS server with two users: realtime, who has the grants that a test
// gives, and admin, who may do everything. It is a process of its own: reloading the
// options of a server that runs is a data race inside nats-server.
type guarded struct {
	t      *testing.T
	addr   string
	grants io.Writer      // JSON, one line a change
	done   *bufio.Scanner // a line for each change that is made
}

// guardedStore names, in the environment, the folder of the server that this program is
// in place of the tests.
const guardedStore = "REALTIME_TEST_NATS_STORE"

// grantsJSON are grants on their way to the server, with the password of the user realtime.
type grantsJSON struct {
	Publish, Subscribe []string
	Password           string
}

func startGuarded(t *testing.T, g grants) *guarded {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self) // #nosec G204 -- this program
	// With the race detector, exitcode=0: what it finds is in nats-server.
	cmd.Env = append(os.Environ(), guardedStore+"="+t.TempDir(), "GORACE=exitcode=0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends the server
		if err := cmd.Wait(); err != nil {
			t.Errorf("the NATS server ended with %v", err)
		}
	})
	s := &guarded{t: t, grants: in, done: bufio.NewScanner(out)}
	s.grant(g)
	s.addr = s.done.Text()
	return s
}

// grant changes the permissions as a reload of the server's configuration does.
func (s *guarded) grant(g grants) {
	s.t.Helper()
	s.change(grantsJSON{g.publish, g.subscribe, "p"})
}

// change hands the server what its user has from now on.
func (s *guarded) change(to grantsJSON) {
	s.t.Helper()
	line, err := json.Marshal(to)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.grants, "%s\n", line); err != nil {
		s.t.Fatal(err)
	}
	if !s.done.Scan() {
		s.t.Fatalf("the NATS server is gone: %v", s.done.Err())
	}
}

// serveGuarded is the process of a guarded server: it starts with the first grants that
// it reads, changes them with the others, writes its address after each, and ends with
// its input.
func serveGuarded(store string, in io.Reader, out io.Writer) error {
	options := natsd.Options{
		ServerName: "guarded", Host: "127.0.0.1", Port: natsd.RANDOM_PORT, JetStream: true, StoreDir: store, JetStreamMaxStore: 1 << 40,
		MaxPayload: 8 << 20, NoSigs: true, NoLog: true,
	}
	var server *natsd.Server
	for decoder := json.NewDecoder(in); ; {
		var g grantsJSON
		if err := decoder.Decode(&g); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		changed := options
		changed.Users = []*natsd.User{{Username: "admin", Password: "p"}, {Username: "realtime", Password: g.Password, Permissions: &natsd.Permissions{
			Publish: &natsd.SubjectPermission{Allow: g.Publish}, Subscribe: &natsd.SubjectPermission{Allow: g.Subscribe},
		}}}
		if server != nil {
			if err := server.ReloadOptions(&changed); err != nil {
				return err
			}
		} else {
			var err error
			if server, err = natsd.NewServer(&changed); err != nil {
				return err
			}
			server.Start()
			if !server.ReadyForConnections(needPatience) {
				return errors.New("the NATS server does not start")
			}
			options.Port = server.Addr().(*net.TCPAddr).Port
		}
		if _, err := fmt.Fprintln(out, server.Addr()); err != nil {
			return err
		}
	}
	if server != nil {
		server.Shutdown()
		server.WaitForShutdown()
	}
	return nil
}

func (s *guarded) url(user string) string {
	return fmt.Sprintf("nats://%s:p@%s", user, s.addr)
}

// admin returns JetStream for somebody who edits what the service needs.
func (s *guarded) admin() jetstream.JetStream {
	s.t.Helper()
	conn, err := nats.Connect(s.url("admin"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// every is a gateway that uses each part of the service that needs permissions.
func (s *guarded) every() map[string]string {
	db := mongokit.URI()
	return map[string]string{
		"NATS_URL": s.url("realtime"), "MONGODB_URI": db[:strings.LastIndex(db, "/")+1] + mongokit.DatabaseName(s.t), "SOCKET_CLUSTER_MAX_CONNECTIONS": "100",
		"REDIS_URL": testkit.StartRedis(s.t).URL(),
	}
}

// Permissions that are taken away are told in every place, and once they are back
// everything goes on, also where the server has ended the subscriptions.
func TestNeedsOfNATS(t *testing.T) {
	t.Parallel()
	least := leastOfNATS()
	broker := startGuarded(t, least)
	n := startNeeding(t, map[string]string{"NATS_URL": broker.url("realtime")})
	for _, lost := range []struct {
		line      string
		subscribe bool
		state     string
	}{
		{"novel.>", false, "degraded"},
		{"novel.>", true, "degraded"},
		{"_INBOX.>", true, "not-ready"},
		{"$JS.API.>", false, "not-ready"},
	} {
		says := fmt.Sprintf("it may not publish to %q", lost.line)
		if lost.subscribe {
			says = fmt.Sprintf("it may not subscribe to %q", lost.line)
		}
		n.during(outage{
			state: lost.state, part: "log", says: says, area: "nats", do: "docs/ops/permissions.md",
			sample: `realtime_app_canary_failing{cause="forbidden",leg="log"}`, alert: `RealtimeNeedNotMet{leg="log",cause="forbidden"}`,
		}, func() { broker.grant(least.without(lost.line, lost.subscribe)) }, func() { broker.grant(least) })
	}
	n.published("job-1", "after")
}

// The least permissions are the least: with them a gateway that uses every part works
// and the doctor does not complain, and without any one of them the doctor names it.
func TestLeastPermissionsOfNATS(t *testing.T) {
	t.Parallel()
	least := leastOfNATS()
	checkDocumented(t, `publish:   ["`+strings.Join(least.publish, `", "`)+`"]`, `subscribe: ["`+strings.Join(least.subscribe, `", "`)+`"]`)
	broker := startGuarded(t, least)
	n := startNeeding(t, broker.every())
	n.until("the gateway is well", func() error { return n.well(nothing) })
	n.published("job-1", "first")
	n.until("it is projected", func() error {
		if !strings.Contains(n.get("/metrics"), "\nrealtime_projections_lag_records{projection=\"history\"} 0\n") {
			return fmt.Errorf("lag")
		}
		return nil
	})
	if failed := failures(examine.Installation(t.Context(), n.cfg, nil, nil)); len(failed) > 0 {
		t.Errorf("with the least permissions: %+v", failed)
	}
	if told := n.complaints(0); len(told) > 0 && slices.ContainsFunc(told, func(line string) bool { return !strings.Contains(line, "is not set") }) {
		t.Errorf("the gateway complains:\n%s", strings.Join(told, "\n"))
	}
	check := func(line string, subscribe bool) {
		t.Helper()
		broker.grant(least.without(line, subscribe))
		failed := failures(examine.Installation(t.Context(), n.cfg, nil, nil))
		if len(failed) == 0 || failed[0].Name != "permissions" || !strings.Contains(failed[0].Found, fmt.Sprintf("to %q", line)) ||
			strings.Contains(failed[0].Found, "subscribe") != subscribe {
			t.Errorf("without %s: %+v", line, failed)
		}
	}
	for _, line := range least.publish {
		check(line, false)
	}
	for _, line := range least.subscribe {
		check(line, true)
	}
	broker.grant(least)
	n.until("the gateway is well", func() error { return n.well(nothing) })
}

// What the operators' commands do beyond a gateway needs a user of its own.
func TestLeastPermissionsOfOperators(t *testing.T) {
	t.Parallel()
	checkDocumented(t, "`$KV.NOVEL_OPERATIONS.>`", "`$JS.SNAPSHOT.>`")
	broker := startGuarded(t, leastOfOperators())
	n := startNeeding(t, broker.every())
	n.until("the gateway is well", func() error { return n.well(nothing) })
	n.published("job-1", "first")
	n.published("job-2", "second")
	silent := func(string, uint64, uint64) {}
	folder := filepath.Join(t.TempDir(), "backup")
	for _, command := range []struct {
		name string
		run  func(o *operations.Operator) error
	}{
		{"backup", func(o *operations.Operator) error { _, err := o.Backup(t.Context(), folder, silent); return err }},
		{"erase", func(o *operations.Operator) error {
			_, err := o.Erase(t.Context(), erasure.Request{JobID: "job-2", Reason: "r", By: "b"}, "", false, silent)
			return err
		}},
		{"restore", func(o *operations.Operator) error {
			_, err := o.Restore(t.Context(), operations.RestoreRequest{Dir: folder, Replace: true}, silent)
			return err
		}},
		{"log set", func(o *operations.Operator) error {
			settings, err := o.LogSettings(t.Context())
			if err != nil {
				return err
			}
			settings.MaxAge = time.Hour
			return o.ChangeSettings(t.Context(), "b", settings)
		}},
		{"operations", func(o *operations.Operator) error { _, err := o.Operations(t.Context()); return err }},
	} {
		operator, err := operations.Open(t.Context(), n.cfg, false, config.NewLogger(n.log, n.cfg))
		if err != nil {
			t.Fatal(err)
		}
		if err := command.run(operator); err != nil {
			t.Errorf("%s: %v", command.name, err)
		}
		if err := operator.Close(); err != nil {
			t.Error(err)
		}
	}
	broker.grant(leastOfNATS()) // which a gateway needs
	operator, err := operations.Open(t.Context(), n.cfg, false, config.NewLogger(n.log, n.cfg))
	if err != nil {
		t.Fatal(err)
	}
	_, err = operator.Erase(t.Context(), erasure.Request{JobID: "job-1", Reason: "r", By: "b"}, "", false, silent)
	if !errors.Is(err, eventstore.ErrForbidden) || !strings.Contains(err.Error(), "$KV.NOVEL_OPERATIONS.") {
		t.Errorf("without a permission: %v", err)
	}
	if err := operator.Close(); err != nil {
		t.Error(err)
	}
	n.until("the gateway is well", func() error { return n.well(nothing) })
}

// leastOfOperators are the lines of docs/ops/permissions.md for the commands.
func leastOfOperators() grants {
	g := leastOfNATS()
	g.publish = append(g.publish, "$KV.NOVEL_OPERATIONS.>", "$JS.SNAPSHOT.>")
	return g
}

// published publishes an event over HTTP, and reads it.
func (n *needing) published(job, id string) {
	n.t.Helper()
	n.until("an event is stored", func() error {
		body := fmt.Sprintf(`{"kind":"domain","jobId":%q,"id":%q,"event":{"type":"t","occurredAt":"2026-01-01T00:00:00Z"}}`, job, id)
		request, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url+"/api/realtime/events", strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+needToken)
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode/100 != 2 {
			return fmt.Errorf("publish: %s", answer.Status)
		}
		if page := n.get("/api/novel/" + job + "/events"); !strings.Contains(page, id) {
			return fmt.Errorf("it is not read: %s", page)
		}
		return nil
	})
}

// Each edit of the stream with which the service cannot keep its promises is told.
func TestNeedsOfTheStream(t *testing.T) {
	t.Parallel()
	broker := startGuarded(t, leastOfNATS())
	js := broker.admin()
	n := startNeeding(t, map[string]string{"NATS_URL": broker.url("realtime")})
	edit := func(change func(*jetstream.StreamConfig)) func() {
		return func() {
			stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
			if err != nil {
				t.Fatal(err)
			}
			config := stream.CachedInfo().Config
			change(&config)
			if _, err := js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
	}
	flawed := func(flaw eventstore.Flaw) outage {
		return outage{
			state: "degraded", part: "log", says: flaw.Text(), area: "log", do: "restart a gateway",
			sample: fmt.Sprintf("realtime_eventstore_stream_flaws{flaw=%q}", flaw), alert: fmt.Sprintf("RealtimeStreamEdited{flaw=%q}", flaw),
		}
	}
	n.until("the gateway is well", func() error { return n.well(flawed(eventstore.FlawSealed)) })
	n.published("job-1", "first")
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	whole := stream.CachedInfo().Config
	mended := func() {
		if _, err := js.UpdateStream(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
	}
	for _, edited := range []struct {
		flaw   eventstore.Flaw
		change func(*jetstream.StreamConfig)
	}{
		{eventstore.FlawSubjects, func(c *jetstream.StreamConfig) { c.Subjects, c.RePublish = []string{"foo.bar"}, whole.RePublish }},
		{eventstore.FlawMaxMessages, func(c *jetstream.StreamConfig) { c.MaxMsgs = 3 }},
		{eventstore.FlawPerSubject, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }},
		{eventstore.FlawMessageSize, func(c *jetstream.StreamConfig) { c.MaxMsgSize = 150 }},
		{eventstore.FlawNoAck, func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{eventstore.FlawMirror, func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "NOVEL_AUDIT"}} }},
		{eventstore.FlawRetention, func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }},
		{eventstore.FlawDiscard, func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{eventstore.FlawNoDirect, func(c *jetstream.StreamConfig) { c.AllowDirect = false }},
		{eventstore.FlawNotRepublished, func(c *jetstream.StreamConfig) { c.RePublish = nil }},
	} {
		n.during(flawed(edited.flaw), edit(edited.change), mended)
	}
	n.during(flawed(eventstore.FlawSealed), edit(func(c *jetstream.StreamConfig) { c.Sealed = true }), nil) // which cannot be undone
	broker.grant(leastOfNATS().without("$JS.API.>", false))
	n.until("the metric has the cause of an outage beside the edit", func() error {
		if metrics := n.get("/metrics"); !strings.Contains(metrics, "\n"+`realtime_app_canary_failing{cause="forbidden",leg="log"} 1`+"\n") {
			return errors.New(strings.Join(slices.DeleteFunc(strings.Split(metrics, "\n"), func(line string) bool { return !strings.Contains(line, "canary_failing") }), "\n"))
		}
		return nil
	})
}

// A bucket or another stream beside the events that somebody has sealed or edited is told
// in every place, too.
func TestNeedsOfTheBuckets(t *testing.T) {
	t.Parallel()
	broker := startGuarded(t, leastOfNATS())
	js := broker.admin()
	n := startNeeding(t, map[string]string{"NATS_URL": broker.url("realtime")})
	for _, edited := range []struct {
		stream, says string
		flaw         eventstore.Flaw
		do           string
		change       func(*jetstream.StreamConfig)
		mend         func(whole jetstream.StreamConfig) error
	}{
		{
			"NOVEL_DEADLETTER", "it does not acknowledge", eventstore.FlawNoAck, "restart a gateway",
			func(c *jetstream.StreamConfig) { c.NoAck = true },
			func(whole jetstream.StreamConfig) error { _, err := js.UpdateStream(t.Context(), whole); return err },
		},
		{
			"KV_NOVEL_SESSIONS", "it is sealed", eventstore.FlawSealed, "remove the stream",
			func(c *jetstream.StreamConfig) { c.Sealed = true },
			func(jetstream.StreamConfig) error { return js.DeleteStream(t.Context(), "KV_NOVEL_SESSIONS") },
		},
	} {
		sample := fmt.Sprintf("realtime_eventstore_other_stream_flaws{flaw=%q,stream=%q}", edited.flaw, edited.stream)
		n.until("the gateway is well", func() error { return n.well(outage{sample: sample}) })
		stream, err := js.Stream(t.Context(), edited.stream)
		if err != nil {
			t.Fatal(err)
		}
		whole := stream.CachedInfo().Config
		n.during(outage{
			state: "degraded", part: "log", says: edited.says, area: "log", do: edited.do, warned: true,
			sample: sample, alert: fmt.Sprintf("RealtimeStreamEdited{stream=%q,flaw=%q}", edited.stream, edited.flaw),
		}, func() {
			changed := whole
			edited.change(&changed)
			if _, err := js.UpdateStream(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
		}, func() {
			if err := edited.mend(whole); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A mirror that somebody has put in the place of the stream takes no events.
func TestNeedsOfAMirror(t *testing.T) {
	t.Parallel()
	broker := startGuarded(t, leastOfNATS())
	js := broker.admin()
	n := startNeeding(t, map[string]string{"NATS_URL": broker.url("realtime")})
	says := eventstore.FlawMirror.Text()
	o := outage{
		state: "degraded", part: "log", says: says, area: "log", do: "restore",
		sample: `realtime_eventstore_stream_flaws{flaw="mirror"}`, alert: `RealtimeStreamEdited{flaw="mirror"}`,
	}
	n.until("the gateway is well", func() error { return n.well(o) })
	before := n.get("/metrics")
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	mirror := jetstream.StreamConfig{Name: "NOVEL_EVENTS", Mirror: &jetstream.StreamSource{Name: "OTHER"}, MaxBytes: 1 << 20, Metadata: stream.CachedInfo().Config.Metadata}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other"}}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), mirror); err != nil {
		t.Fatal(err)
	}
	n.until("health names it", func() error {
		if state, parts := n.health(); state == "ready" || !strings.Contains(parts["log"], says) {
			return fmt.Errorf("%s %v", state, parts)
		}
		return nil
	})
	during := n.get("/metrics")
	if !strings.Contains(during, "\n"+o.sample+" 1\n") {
		t.Errorf("no %s 1", o.sample)
	}
	n.examined(o, "")
	t.Run("alert", func(t *testing.T) { checkAlert(t, o.alert, before, during) })
}
