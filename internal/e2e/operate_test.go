package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/internal/devstack"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// operated is a gateway on which operators' commands are run.
type operated struct {
	*gateway
	t      *testing.T
	env    settings // of the commands
	events *mongo.Collection
}

func startOperated(t *testing.T, more ...settings) *operated {
	t.Helper()
	uri := startMongo(t)
	client, err := mongo.Connect(mongooptions.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	env := settings{"MONGODB_URI": uri, "NATS_LISTEN": "127.0.0.1:0"}
	for _, some := range more {
		maps.Copy(env, some)
	}
	g := startGateway(t, env)
	commands := maps.Clone(env)
	delete(commands, "NATS_LISTEN")
	commands["NATS_URL"] = natsURL(g)
	return &operated{
		t: t, gateway: g,
		env:    commands,
		events: client.Database(devstack.Database).Collection("novel_job_events"),
	}
}

// startMongo runs a MongoDB-protocol server of the test's own, and returns where it is.
func startMongo(t testing.TB) (uri string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "mongo")
	if err != nil {
		t.Fatal(err)
	}
	server, err := devstack.StartMongo(t.Context(), devstack.MongoConfig{Addr: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(server.Close(ctx), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return server.URI()
}

// publish posts events n, n+1 … of a job.
func (o *operated) publish(job string, from, to int) {
	o.t.Helper()
	var lines strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintf(&lines, `{"kind":"domain","jobId":%q,"id":"%s-%d","event":{"type":"t","occurredAt":"o","n":%d}}`+"\n", job, job, n, n)
	}
	response, err := http.Post(o.url("/api/realtime/events"), "application/x-ndjson", strings.NewReader(lines.String()))
	if err != nil {
		o.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		o.t.Fatalf("publish: %s %s", response.Status, body)
	}
}

// command runs a command, expects its status, and reads what it printed.
func (o *operated) command(code int, into any, args ...string) result {
	o.t.Helper()
	if into != nil {
		args = append(args, "-o", "json")
	}
	r := run(o.t, o.env, "", args...)
	if r.code != code {
		o.t.Fatalf("%q: status %d, want %d:\n%s%s", args, r.code, code, r.stdout, r.stderr)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(r.stdout), into); err != nil {
			o.t.Fatalf("%q: %v:\n%s", args, err, r.stdout)
		}
	}
	return r
}

// projected waits until the projections have everything.
func (o *operated) projected() {
	o.t.Helper()
	eventually(o.t, "the projections have everything", func() error {
		var status []struct {
			Floor, Head, LagEvents uint64
			Ran                    bool
		}
		o.command(0, &status, "projections", "status")
		for _, s := range status {
			if !s.Ran || s.Floor < s.Head || s.LagEvents > 0 {
				return fmt.Errorf("%+v", status)
			}
		}
		return nil
	})
}

func TestProjectionsCommands(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 60)
	o.projected()
	if r := o.command(0, nil, "projections", "verify"); !strings.Contains(r.stdout, "equal") {
		t.Errorf("verify prints:\n%s", r.stdout)
	}
	if _, err := o.events.DeleteMany(t.Context(), bson.D{{Key: "sequence", Value: bson.D{{Key: "$in", Value: bson.A{int64(7), int64(9)}}}}}); err != nil {
		t.Fatal(err)
	}
	var reports []struct {
		Equal       bool
		Missing     int
		Differences []struct {
			What, Job string
			Sequence  uint64
		}
	}
	o.command(3, &reports, "projections", "verify", "history", "--show", "1")
	if len(reports) != 1 || reports[0].Equal || reports[0].Missing != 2 || len(reports[0].Differences) != 1 || reports[0].Differences[0].Sequence != 7 {
		t.Errorf("verify finds %+v", reports)
	}
	o.command(1, nil, "projections", "swap", "history") // nothing was rebuilt
	if r := o.command(0, nil, "projections", "rebuild"); !strings.Contains(r.stdout, "shadow") || !strings.Contains(r.stderr, "fill") {
		t.Errorf("rebuild prints:\n%s%s", r.stdout, r.stderr)
	}
	o.publish("job", 61, 70)
	if r := o.command(0, nil, "projections", "swap"); !strings.Contains(r.stdout, "novel_job_events_old_") {
		t.Errorf("swap prints:\n%s", r.stdout)
	}
	o.projected()
	o.command(0, nil, "projections", "verify")
	if r := o.command(0, nil, "projections", "swap", "history", "--drop-old"); !strings.Contains(r.stdout, "dropped") {
		t.Errorf("swap --drop-old prints:\n%s", r.stdout)
	}
	if r := o.command(0, nil, "projections", "status"); strings.Contains(r.stdout, "novel_job_events_old_") {
		t.Errorf("status prints:\n%s", r.stdout)
	}
	o.command(2, nil, "projections", "verify", "no-such")
	o.command(2, nil, "projections", "status", "-o", "xml")
}

// TestBackupDeleteRestore shows a client what happens to the log: it stays
// connected, is told that its position means nothing any more, and gets everything
// that there is.
func TestBackupDeleteRestore(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 40)
	o.projected()
	dir := filepath.Join(t.TempDir(), "backup")
	var manifest struct {
		Streams []struct {
			Name, Epoch string
			Messages    int
			Files       []struct{ Path string }
		}
	}
	o.command(0, &manifest, "backup", dir)
	if len(manifest.Streams) == 0 || manifest.Streams[0].Messages != 40 {
		t.Fatalf("backup has %+v", manifest)
	}
	o.command(1, nil, "backup", dir)
	o.publish("job", 41, 45) // will be lost

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := socket.Open(ctx, socket.Config{Endpoint: "ws://" + o.address() + "/ws/", Queue: 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if _, err := conn.Connect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.Emit("subscribe", map[string]any{"jobId": "job", "since": 43}); err != nil {
		t.Fatal(err)
	}
	var sequences []uint64
	next := func() string {
		t.Helper()
		e, err := conn.Next(ctx)
		if err != nil {
			t.Fatalf("after %d events: %v", len(sequences), err)
		}
		if e.Name == "novel.domain-event" {
			var d delivery
			if err := e.Decode(&d); err != nil {
				t.Fatal(err)
			}
			sequences = append(sequences, d.Sequence)
		}
		return e.Name
	}
	for next() != messaging.EventCaughtUp {
	}
	if len(sequences) != 2 {
		t.Fatalf("caught up with %v", sequences)
	}

	r := o.command(1, nil, "restore", dir)
	if !strings.Contains(r.reason(), "exists") {
		t.Errorf("restore over a stream says %s", r.reason())
	}
	var left []lease.Operation
	if o.command(0, &left, "operations"); len(left) != 0 {
		t.Errorf("a restore that was refused is listed: %+v", left)
	}
	o.command(0, nil, "restore", dir, "--check")
	o.command(1, nil, "restore", filepath.Join(dir, "none"), "--check")
	o.command(1, nil, "restore", t.TempDir(), "--replace")
	o.command(2, nil, "restore", "--check")
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(damaged, manifest.Streams[0].Files[1].Path), 100); err != nil {
		t.Fatal(err)
	}
	o.command(3, nil, "restore", damaged, "--check")
	o.command(1, nil, "restore", damaged, "--replace")
	if err := os.Remove(filepath.Join(damaged, manifest.Streams[0].Files[0].Path)); err != nil {
		t.Fatal(err)
	}
	o.command(3, nil, "restore", damaged, "--check")
	var restored struct{ Epoch, PreviousEpoch string }
	o.command(0, &restored, "restore", dir, "--replace")
	if restored.PreviousEpoch != manifest.Streams[0].Epoch || restored.Epoch == restored.PreviousEpoch || restored.Epoch == "" {
		t.Errorf("restored as %+v", restored)
	}
	sequences = nil
	began := time.Now()
	for next() != messaging.EventGap {
	}
	t.Logf("the client was told of the gap after %s", time.Since(began).Round(time.Millisecond))
	for len(sequences) < 40 {
		next()
	}
	o.publish("job", 101, 102)
	for len(sequences) < 42 {
		next()
	}
	for i, sequence := range sequences {
		if sequence != uint64(i+1) {
			t.Fatalf("the client got %v", sequences)
		}
	}
	// The projections begin again. Of the old epoch they keep the events that the log has lost.
	o.projected()
	var reports []struct {
		Equal          bool
		Expected, Kept uint64
	}
	o.command(0, &reports, "projections", "verify", "history")
	if !reports[0].Equal || reports[0].Expected != 42 || reports[0].Kept != 5 {
		t.Errorf("verify finds %+v", reports)
	}
	var page struct{ Count int }
	o.fetch("/api/novel/job/events?limit=100", &page)
	if page.Count != 42 {
		t.Errorf("%d events are served, want 42", page.Count)
	}
	// With its log inside, the gateway's folder is its own.
	local := settings{"DATA_DIR": o.gateway.env["DATA_DIR"]}
	if r := run(t, local, "", "backup", filepath.Join(t.TempDir(), "b")); r.code != 1 || !strings.Contains(r.reason(), "NATS_URL") {
		t.Errorf("backup of a folder in use: status %d, %s", r.code, r.reason())
	}
	// A socket that resumes with a position of the old epoch is told, too.
	late, err := socket.Open(ctx, socket.Config{Endpoint: "ws://" + o.address() + "/ws/", Queue: 1024})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(late.Close)
	if _, err := late.Connect(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := late.Emit("subscribe", map[string]any{"jobId": "job", "since": 45, "epoch": restored.PreviousEpoch}); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := late.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if e.Name == messaging.EventGap {
			break
		}
		if e.Name == messaging.EventCaughtUp {
			t.Fatal("caught up without a word of the gap")
		}
	}
}
