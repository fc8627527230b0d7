package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestLogCommands(t *testing.T) {
	t.Parallel()
	r := startReplayed(t) // jobs a and b, with 30 and 10 events
	r.unchanged("a look at the log", func() {
		r.logStatus()
		r.logJob()
		r.logEvent()
	})
	// An event that MongoDB has lost although it said that it has everything.
	if _, err := r.events.DeleteOne(t.Context(), bson.D{{Key: "sequence", Value: int64(7)}}); err != nil {
		t.Fatal(err)
	}
	if lost := r.command(3, nil, "log", "event", "a-7"); !strings.Contains(lost.stdout, "missing: MongoDB should have everything up to 40") {
		t.Errorf("a lost document shows as:\n%s", lost.stdout)
	}
	for _, wrong := range [][]string{
		{"log", "job"},
		{"log", "job", ""},
		{"log", "job", "a", "--limit", "0"},
		{"log", "job", "a", "--since", "x"},
		{"log", "job", "a", "-o", "xml"},
		{"log", "event"},
		{"log", "event", "a", "--sequence", "1"},
		{"log", "event", "a", "b"},
		{"log", "status", "a"},
	} {
		if failed := r.command(2, nil, wrong...); failed.reason() == "" {
			t.Errorf("%q says nothing", wrong)
		}
	}
}

func (r *replayed) logStatus() {
	r.t.Helper()
	var status struct {
		Epoch       string
		First, Last uint64
		Streams     []struct {
			Name     string
			Messages uint64
			MaxBytes int64
		}
		Consumers []struct {
			Name      string
			Durable   bool
			LagEvents uint64
		}
		DeadLetters map[string]int
	}
	r.command(0, &status, "log", "status")
	if status.Epoch == "" || status.First != 1 || status.Last != 40 || len(status.DeadLetters) != 0 {
		r.t.Errorf("status is %+v", status)
	}
	durable := map[string]bool{}
	for _, c := range status.Consumers {
		durable[c.Name] = c.Durable && c.LagEvents == 0
	}
	if !durable["history"] || !durable["job-heads"] {
		r.t.Errorf("consumers %+v", status.Consumers)
	}
	table := r.command(0, nil, "log", "status").stdout
	for _, part := range []string{"NOVEL_EVENTS", "NOVEL_DEADLETTER", "history", "sequences 1 to 40", "refuses", status.Epoch} {
		if !strings.Contains(table, part) {
			r.t.Errorf("%q is missing in:\n%s", part, table)
		}
	}
}

func (r *replayed) logJob() {
	r.t.Helper()
	table := r.command(0, nil, "log", "job", "a", "--limit", "2")
	if lines := strings.Split(strings.TrimSpace(table.stdout), "\n"); len(lines) != 3 || !strings.Contains(lines[2], "a-30") || !strings.Contains(lines[2], "domain") {
		r.t.Errorf("the newest two are:\n%s", table.stdout)
	}
	var all []replayLine
	var epoch struct{ Epoch string }
	r.command(0, &epoch, "log", "status")
	since := "0"
	for range 3 {
		page := r.command(0, nil, "log", "job", "a", "--since", since, "--limit", "12", "-o", "json")
		lines := linesOf(r.t, page.stdout)
		all = append(all, lines...)
		since = fmt.Sprintf("%s:%d", epoch.Epoch, lines[len(lines)-1].Sequence)
		if more := strings.Contains(page.stderr, "there are more: --since "+since); more != (len(all) < 30) {
			r.t.Errorf("after %d events it says %q", len(all), page.stderr)
		}
	}
	for i, line := range all {
		if line.Sequence != uint64(i+1) || line.Envelope.Event.N != i+1 {
			r.t.Fatalf("event %d is %+v", i+1, line)
		}
	}
	if len(all) != 30 {
		r.t.Errorf("%d events, want 30", len(all))
	}
	if other := r.command(1, nil, "log", "job", "a", "--since", "other:5"); !strings.Contains(other.reason(), "another epoch") {
		r.t.Errorf("a position of another epoch: %q", other.reason())
	}
	if none := r.command(3, nil, "log", "job", "nobody"); strings.Count(none.stdout, "\n") != 1 {
		r.t.Errorf("a job without events shows:\n%s", none.stdout)
	}
}

func (r *replayed) logEvent() {
	r.t.Helper()
	var way struct {
		ID     string
		Stored []struct {
			Sequence            uint64
			JobID, Projected    string
			EmittedBy           string
			Gateways, Followers int
		}
	}
	for _, args := range [][]string{{"b-3"}, {"b-3", "--job", "b"}, {"--sequence", "33"}} {
		r.command(0, &way, append([]string{"log", "event"}, args...)...)
		if way.ID != "b-3" || len(way.Stored) != 1 || way.Stored[0].Sequence != 33 || way.Stored[0].Projected != "yes" ||
			way.Stored[0].EmittedBy != "gateway" || way.Stored[0].Gateways != 1 || way.Stored[0].Followers != 0 {
			r.t.Errorf("%q: %+v", args, way)
		}
	}
	table := r.command(0, nil, "log", "event", "b-3").stdout
	for _, part := range []string{"received", "sequence 33", "projected  yes", "delivered  not recorded; at this moment 0 subscriptions at 1 gateways"} {
		if !strings.Contains(table, part) {
			r.t.Errorf("%q is missing in:\n%s", part, table)
		}
	}
	there := r.env["MONGODB_URI"]
	r.env["MONGODB_URI"] = "mongodb://127.0.0.1:1/away?serverSelectionTimeoutMS=500"
	away := r.command(1, nil, "log", "event", "b-3")
	r.env["MONGODB_URI"] = there
	if !strings.Contains(away.stdout, "sequence 33") || !strings.Contains(away.stdout, "projected  unreachable") || !strings.Contains(away.reason(), "MongoDB does not answer") {
		r.t.Errorf("while MongoDB is away: %s\n%s", away.stdout, away.stderr)
	}
	if none := r.command(3, nil, "log", "event", "nobody's"); !strings.Contains(none.reason(), "no such event") {
		r.t.Errorf("an unknown id: %s", none.reason())
	}
}
