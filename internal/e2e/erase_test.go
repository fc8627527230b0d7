package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/messaging"
)

// TestErase shows what an erasure is to a client that is there, to one that comes
// back, and to whoever looks afterwards.
func TestErase(t *testing.T) {
	t.Parallel()
	o := startOperated(t)
	o.publish("job", 1, 30)
	o.publish("other", 1, 3)
	o.projected()
	dir := filepath.Join(t.TempDir(), "backup")
	o.command(0, nil, "backup", dir)
	follower := o.subscribe("job", 20)
	for range 10 {
		follower.expect("novel.domain-event")
	}
	follower.expect(messaging.EventCaughtUp)

	o.command(2, nil, "erase", "job") // why?
	var nothing struct{ JobID string }
	if o.command(3, &nothing, "erase", "nobody", "--reason", "r"); nothing.JobID != "nobody" {
		t.Errorf("of a job that nobody knows it prints %+v", nothing)
	}
	var plan struct {
		Found struct{ Events, Documents, Heads int }
	}
	o.command(0, &plan, "erase", "job", "--reason", "r", "--dry-run")
	if plan.Found.Events != 30 || plan.Found.Documents != 30 {
		t.Errorf("would remove %+v", plan.Found)
	}
	r := o.command(0, nil, "erase", "job", "--reason", "request 17", "--by", "j.doe", "--backup", dir)
	if !strings.Contains(r.stdout, "ERASED") {
		t.Errorf("erase prints:\n%s", r.stdout)
	}
	if gap := follower.expect(messaging.EventGap); gap.Reason != string(messaging.GapErased) || gap.FirstAvailable <= 30 {
		t.Errorf("the follower is told %+v", gap)
	}
	if gap := o.subscribe("job", 5).expect(messaging.EventGap); gap.Reason != string(messaging.GapErased) {
		t.Errorf("one that comes back is told %+v", gap)
	}
	r = o.command(0, nil, "erase", "job", "--reason", "request 17")
	if !strings.Contains(r.stdout, "nothing is left: erased by j.doe") {
		t.Errorf("again it prints:\n%s", r.stdout)
	}
	r = o.command(0, nil, "audit", "list", "--job", "job")
	if strings.Count(r.stdout, "request 17") != 2 || !strings.Contains(r.stdout, "done") {
		t.Errorf("audit list prints:\n%s", r.stdout)
	}
	o.command(0, nil, "projections", "verify")
	// A worker whose write was delayed: the gateway removes it.
	late := bson.D{{Key: "jobId", Value: "job"}, {Key: "kind", Value: "domain"}, {Key: "emittedAt", Value: messaging.FormatTime(time.Now().Add(-time.Hour))}}
	if _, err := o.events.InsertOne(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late document is gone", func() error {
		if n, err := o.events.CountDocuments(t.Context(), bson.D{{Key: "jobId", Value: "job"}}); err != nil || n > 0 {
			return fmt.Errorf("%d documents, %w", n, err)
		}
		return nil
	})
	o.publish("job", 31, 31)
	follower.expect("novel.domain-event")

	r = o.command(0, nil, "restore", dir, "--replace")
	if !strings.Contains(r.stdout, "left out, because it was erased: job") {
		t.Errorf("restore prints:\n%s", r.stdout)
	}
	o.projected()
	o.command(0, nil, "projections", "verify")
	for job, want := range map[string]string{"job": `"count":0`, "other": `"count":3`} {
		if page := o.get("/api/novel/" + job + "/events"); !strings.Contains(page, want) {
			t.Errorf("after the restore, %s has %s", job, page)
		}
	}
	o.command(0, nil, "audit", "list")
}

// subscriber is a client that follows one job.
type subscriber struct {
	t      *testing.T
	socket *socket.Socket
}

// told is any of the messages that a subscriber looks at.
type told struct {
	Sequence, Requested, FirstAvailable uint64
	Reason                              string
}

// subscribe follows a job from a sequence on.
func (o *operated) subscribe(job string, since uint64) subscriber {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	conn, err := socket.Open(ctx, socket.Config{Endpoint: "ws://" + o.address() + "/ws/", Queue: 1024})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(conn.Close)
	if _, err := conn.Connect(ctx, nil); err != nil {
		o.t.Fatal(err)
	}
	if err := conn.Emit("subscribe", map[string]any{"jobId": job, "since": since}); err != nil {
		o.t.Fatal(err)
	}
	s := subscriber{o.t, conn}
	s.expect(messaging.EventSubscribed)
	return s
}

// expect takes the next message, which has to be of that name.
func (s subscriber) expect(name string) told {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	began := time.Now()
	e, err := s.socket.Next(ctx)
	if err != nil {
		s.t.Fatalf("wait %s for %s: %v", time.Since(began).Round(time.Millisecond), name, err)
	}
	var m told
	if err := e.Decode(&m); err != nil || e.Name != name {
		s.t.Fatalf("got %s %+v, want %s; %v", e.Name, m, name, err)
	}
	return m
}
