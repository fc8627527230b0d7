package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// replayed is a gateway whose log is replayed: jobs a and b have 30 and 10 events.
type replayed struct {
	*operated
	conn  *nats.Conn
	redis *redis.Client
}

func startReplayed(t *testing.T) *replayed {
	t.Helper()
	server := testkit.StartRedis(t)
	o := startOperated(t, settings{"REDIS_URL": server.URL()})
	conn, err := nats.Connect(o.env["NATS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	client := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = client.Close() })
	o.publish("a", 1, 30)
	o.publish("b", 1, 10)
	o.projected()
	return &replayed{operated: o, conn: conn, redis: client}
}

// bookkeeping is the prefix of the collections in which the projections keep leases and
// other notes of their own, which may appear at any time.
const bookkeeping = "novel_projection_"

// held describes all that the log and the read models hold, and the settings of
// the streams.
func (r *replayed) held() string {
	r.t.Helper()
	js, err := jetstream.New(r.conn)
	if err != nil {
		r.t.Fatal(err)
	}
	var held strings.Builder
	for _, name := range []string{"NOVEL_EVENTS", "NOVEL_DEADLETTER"} {
		stream, err := js.Stream(r.t.Context(), name)
		if err != nil {
			r.t.Fatal(err)
		}
		info := stream.CachedInfo()
		if err := json.NewEncoder(&held).Encode([]any{info.Config, info.State}); err != nil {
			r.t.Fatal(err)
		}
	}
	names, err := r.events.Database().ListCollectionNames(r.t.Context(), bson.D{{Key: "name", Value: bson.D{{Key: "$regex", Value: "^novel_"}}}})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, bookkeeping) {
			fmt.Fprintf(&held, "%s %d\n", name, r.documents(name))
		}
	}
	return held.String()
}

func (r *replayed) documents(collection string) int64 {
	r.t.Helper()
	count, err := r.events.Database().Collection(collection).CountDocuments(r.t.Context(), bson.D{})
	if err != nil {
		r.t.Fatal(err)
	}
	return count
}

// unchanged runs something and expects that log and read models are as before.
func (r *replayed) unchanged(what string, do func()) {
	r.t.Helper()
	before := r.held()
	do()
	if after := r.held(); after != before {
		r.t.Errorf("%s changed\n%s\ninto\n%s", what, before, after)
	}
}

type replayResult struct {
	Events, Unfit, Next, First, Last uint64
	Into, Run                        string
	DryRun                           bool
	Seconds                          float64
}

type replayLine struct {
	Sequence uint64
	Epoch    string
	JobID    string
	ReplayOf string
	Envelope struct {
		ID    string
		Event struct{ N int }
	}
}

func linesOf(t *testing.T, text string) []replayLine {
	t.Helper()
	var lines []replayLine
	for decoder := json.NewDecoder(strings.NewReader(text)); decoder.More(); {
		var line replayLine
		if err := decoder.Decode(&line); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestReplayIntoEachSink replays into everything but the log, which stays as it was.
func TestReplayIntoEachSink(t *testing.T) {
	t.Parallel()
	r := startReplayed(t)
	r.unchanged("a dry run", func() {
		for _, into := range []string{"stdout", "nats:audit", "redis:staging", "collection:copies", "log"} {
			var result replayResult
			r.command(0, &result, "replay", "--dry-run", "--into", into, "--rate", "10")
			if !result.DryRun || result.Events != 40 || result.Into != into || result.Seconds != 3.9 {
				t.Errorf("a dry run says %+v", result)
			}
		}
	})
	r.unchanged("stdout", func() {
		all := r.command(0, nil, "replay")
		lines := linesOf(t, all.stdout)
		if len(lines) != 40 || lines[39].Sequence != 40 || lines[39].Envelope.ID != "b-10" || !strings.Contains(all.stderr, "handed on") {
			t.Errorf("replay prints:\n%s%s", all.stdout, all.stderr)
		}
		some := r.command(0, nil, "replay", "--job", "b", "--from", "33", "--to", "35", "--type", "t", "--kind", "domain")
		if lines := linesOf(t, some.stdout); len(lines) != 3 || lines[0].JobID != "b" || lines[0].Envelope.Event.N != 3 {
			t.Errorf("replay of some prints:\n%s", some.stdout)
		}
	})
	r.unchanged("a subject", func() {
		sub, err := r.conn.SubscribeSync("audit.*")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.conn.Flush(); err != nil {
			t.Fatal(err)
		}
		r.command(0, nil, "replay", "--into", "nats:audit.{job}")
		for n := 1; n <= 40; n++ {
			msg, err := sub.NextMsg(patience)
			if err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
			if of := msg.Header.Get("Novel-Replay-Of"); !strings.HasSuffix(of, fmt.Sprintf(":%d", n)) || msg.Header.Get("Novel-Kind") != "domain" ||
				msg.Subject != "audit."+msg.Header.Get("Novel-Job") || !json.Valid(msg.Data) {
				t.Errorf("message %d on %s: %v", n, msg.Subject, msg.Header)
			}
		}
	})
	r.unchanged("a channel", func() {
		heard := r.redis.Subscribe(t.Context(), "staging")
		defer heard.Close()
		if _, err := heard.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.command(0, nil, "replay", "--into", "redis:staging", "--job", "a")
		for n := 1; n <= 30; n++ {
			msg, err := heard.ReceiveMessage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(msg.Payload, fmt.Sprintf(`"id":"a-%d"`, n)) {
				t.Errorf("message %d is %s", n, msg.Payload)
			}
		}
	})
	r.unchanged("a collection", func() {
		for range 2 { // a repeat adds nothing
			r.command(0, nil, "replay", "--into", "collection:copies")
			if count := r.documents("copies"); count != 40 {
				t.Errorf("the collection has %d documents, want 40", count)
			}
		}
	})
	if _, err := r.events.Database().Collection("others").InsertOne(t.Context(), bson.D{{Key: "title", Value: "mine"}}); err != nil {
		t.Fatal(err)
	}
	if failed := r.command(1, nil, "replay", "--into", "collection:others"); r.documents("others") != 1 {
		t.Errorf("a foreign collection was written into: %s", failed.stderr)
	}
	for _, wrong := range [][]string{
		{"--into", "collection:novel_job_events"},
		{"--into", "collection:"},
		{"--into", "nats:novel.events.a"},
		{"--into", "nats:a.*"},
		{"--into", "nats:$JS.API.STREAM.PURGE.NOVEL_EVENTS"},
		{"--into", "redis:novel.realtime.events"},
		{"--into", "log:1"},
		{"--into", "job:"},
		{"--into", "disk"},
		{"--from", "yesterday"},
		{"--to", "0"},
		{"--rate", "1", "--speed", "1"},
		{"--speed", "-1"},
		{"--run", "a/b"},
		{"-o", "xml"},
		{"--job", ""},
		{"more"},
	} {
		if failed := r.command(2, nil, append([]string{"replay"}, wrong...)...); failed.reason() == "" {
			t.Errorf("%q says nothing", wrong)
		}
	}
}

// interrupt starts a replay with its lines on standard output, or none, and sends it
// a signal after some have come.
func (r *replayed) interrupt(signal os.Signal, after func(lines *bufio.Scanner), args ...string) (stdout string, failure result) {
	r.t.Helper()
	command := exec.Command(build(r.t, "realtime"), append([]string{"replay"}, args...)...)
	command.Env = environ(r.env)
	var stderr, copied strings.Builder
	command.Stderr = &stderr
	pipe, err := command.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		advance, token, err := bufio.ScanLines(data, atEOF)
		if token != nil {
			copied.Write(token)
			copied.WriteByte('\n')
		}
		return advance, token, err
	})
	after(lines)
	if err := command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatal(err)
	}
	for lines.Scan() {
	}
	_ = command.Wait() // its status is looked at
	return copied.String(), result{code: command.ProcessState.ExitCode(), stdout: copied.String(), stderr: stderr.String()}
}

// TestInterruptedReplay interrupts replays at several points; what they say about
// going on gives the rest, and log and read models are as before.
func TestInterruptedReplay(t *testing.T) {
	t.Parallel()
	r := startReplayed(t)
	epoch := linesOf(t, r.command(0, nil, "replay", "--to", "1").stdout)[0].Epoch
	for _, point := range []int{1, 7, 20} {
		r.unchanged(fmt.Sprintf("an interruption after %d lines", point), func() {
			first, failure := r.interrupt(syscall.SIGINT, func(lines *bufio.Scanner) {
				for range point {
					lines.Scan()
				}
			}, "--rate", "30")
			lines := linesOf(t, first)
			from := len(lines) + 1
			goOn := fmt.Sprintf("interrupted: to go on, repeat the command with --from %s:%d --to %s:40", epoch, from, epoch)
			if failure.code != 1 || len(lines) < point || len(lines) == 40 || !strings.Contains(failure.reason(), goOn) {
				t.Fatalf("status %d after %d lines, want %q:\n%s", failure.code, len(lines), goOn, failure.stderr)
			}
			again := strings.Fields(failure.reason())
			rest := linesOf(t, r.command(0, nil, append([]string{"replay"}, again[len(again)-4:]...)...).stdout)
			for i, line := range append(lines, rest...) {
				if line.Sequence != uint64(i+1) {
					t.Fatalf("line %d is of sequence %d", i+1, line.Sequence)
				}
			}
			if len(lines)+len(rest) != 40 {
				t.Errorf("%d lines and %d more", len(lines), len(rest))
			}
		})
	}
	r.unchanged("an interrupted replay into a collection", func() {
		_, failure := r.interrupt(syscall.SIGTERM, func(*bufio.Scanner) {
			eventually(t, "some documents are there", func() error {
				if count := r.documents("partial"); count < 5 {
					return fmt.Errorf("%d", count)
				}
				return nil
			})
		}, "--rate", "20", "--into", "collection:partial")
		count := r.documents("partial")
		if goOn := fmt.Sprintf("--from %s:%d --to %s:40", epoch, count+1, epoch); failure.code != 1 || !strings.Contains(failure.reason(), goOn) {
			t.Errorf("status %d with %d documents: %s", failure.code, count, failure.stderr)
		}
		r.command(0, nil, "replay", "--from", fmt.Sprint(count+1), "--to", "40", "--into", "collection:partial")
		if count := r.documents("partial"); count != 40 {
			t.Errorf("%d documents, want 40", count)
		}
	})
	r.unchanged("a position of another epoch", func() {
		for _, flag := range []string{"--from", "--to"} {
			refused := r.command(1, nil, "replay", flag, "another:7")
			if refused.stdout != "" || !strings.Contains(refused.reason(), "position another:7: the log is of another epoch: it is "+epoch) {
				t.Errorf("%s: %s\n%s", flag, refused.reason(), refused.stdout)
			}
		}
	})
}

// TestReplayIntoTheLog stores each event once more, while the server still knows the
// ids of the originals, and once however often a run is killed and repeated.
func TestReplayIntoTheLog(t *testing.T) {
	t.Parallel()
	r := startReplayed(t)
	stored := func() []replayLine { return linesOf(t, r.command(0, nil, "replay").stdout) }
	_, _ = r.interrupt(syscall.SIGKILL, func(*bufio.Scanner) {
		eventually(t, "some events are stored again", func() error {
			if count := len(stored()); count < 45 {
				return fmt.Errorf("%d", count)
			}
			return nil
		})
	}, "--into", "log", "--run", "again", "--rate", "10")
	if count := len(stored()); count >= 80 {
		t.Fatalf("killed with %d events stored", count)
	}
	for range 2 {
		r.command(0, nil, "replay", "--into", "log", "--run", "again")
		lines := stored()
		if len(lines) != 80 {
			t.Fatalf("the log has %d events, want 80", len(lines))
		}
		for i, line := range lines[40:] {
			if !strings.HasSuffix(line.ReplayOf, fmt.Sprintf(":%d", i+1)) || line.Envelope.ID != lines[i].Envelope.ID {
				t.Errorf("sequence %d is %+v, of %+v", line.Sequence, line, lines[i])
			}
		}
	}
	r.projected()
	r.command(0, nil, "projections", "verify")
	// The producer's repeat of an original is still a repeat.
	before := r.held()
	r.publish("a", 1, 30)
	if after := r.held(); after != before {
		t.Errorf("repeats changed\n%s\ninto\n%s", before, after)
	}
}

// TestReplayIntoAJob shows a job's followers, over Socket.IO and SSE, its events once
// more: marked, without a sequence. What they get of the job afterwards, and how they
// resume, is as if nothing had been.
func TestReplayIntoAJob(t *testing.T) {
	t.Parallel()
	r := startReplayed(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := socket.Open(ctx, socket.Config{Endpoint: "ws://" + r.address() + "/ws/", Queue: 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if _, err := conn.Connect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.Emit("subscribe", map[string]any{"jobId": "b", "since": 38}); err != nil {
		t.Fatal(err)
	}
	type shown struct {
		JobID    string
		Sequence uint64
		ID       string
		Replay   *struct {
			JobID, Epoch, Run string
			Sequence          uint64
		}
	}
	next := func() (name string, event shown) {
		t.Helper()
		e, err := conn.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Decode(&event); err != nil {
			t.Fatal(err)
		}
		return e.Name, event
	}
	for name, _ := next(); name != messaging.EventCaughtUp; name, _ = next() {
	}
	var result struct {
		replayResult
		Followers struct{ Gateways, Subscriptions int }
	}
	r.unchanged("a replay into a job", func() {
		r.command(0, &result, "replay", "--into", "job:b", "--to", "34")
	})
	if result.Events != 4 || result.Followers.Gateways != 1 || result.Followers.Subscriptions != 1 {
		t.Errorf("the replay says %+v", result)
	}
	for n := uint64(31); n <= 34; n++ {
		name, event := next()
		if name != "novel.domain-event" || event.Sequence != 0 || event.JobID != "b" || event.ID != fmt.Sprintf("b-%d", n-30) ||
			event.Replay == nil || event.Replay.Sequence != n || event.Replay.Run != result.Run || event.Replay.JobID != "b" || event.Replay.Epoch == "" {
			t.Errorf("event %d is %s %+v", n, name, event)
		}
	}
	// Of another job, when that is asked for.
	r.command(0, &result, "replay", "--into", "job:b", "--job", "a", "--to", "1", "--rate", "100")
	if name, event := next(); name != "novel.domain-event" || event.JobID != "b" || event.Replay == nil || event.Replay.JobID != "a" {
		t.Errorf("an event of another job is %s %+v", name, event)
	}
	r.publish("b", 11, 11)
	if name, event := next(); name != "novel.domain-event" || event.Sequence != 41 || event.Replay != nil {
		t.Errorf("the job's next event is %s %+v", name, event)
	}
	r.command(0, &result, "replay", "--into", "job:nobody", "--job", "a", "--rate", "1000")
	if result.Events != 30 || result.Followers.Gateways != 1 || result.Followers.Subscriptions != 0 {
		t.Errorf("a replay that nobody sees says %+v", result)
	}
}
