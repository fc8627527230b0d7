package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// TestStagesOfEvents: the flight recorder has where an event was received, when each
// projection wrote it to MongoDB, and why an event was refused, with the epoch where the
// stage has one.
func TestStagesOfEvents(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	o, _ := runGateway(t, map[string]string{"REDIS_URL": redis.URL(), "MONGODB_URI": mongoOf(t)})
	o.publish(`{"kind":"job-status","jobId":"a","status":"running","id":"over-http"}`)
	client := redis.Client()
	for _, payload := range []string{`{"kind":"job-status","jobId":"a","status":"running","id":"from-redis"}`, `{"kind":"nonsense","jobId":"a","id":"wrong"}`} {
		o.until("the gateway receives from Redis", func() error {
			received, err := client.Publish(t.Context(), "novel.realtime.events", payload).Result()
			if err == nil && received == 0 {
				err = fmt.Errorf("nobody subscribes")
			}
			return err
		})
	}
	type note struct {
		Stage, ID, Detail, Epoch string
		Sequence                 uint64
		TookSeconds              float64
	}
	read := func(query string) (notes []note) {
		var list struct{ Items []note }
		o.read("/job/stages?jobId=a"+query, &list)
		return list.Items
	}
	want := []string{
		"from-redis logged ", "from-redis logging ", "from-redis projected history", "from-redis projected job-heads", "from-redis received redis",
		"over-http logged ", "over-http logging ", "over-http projected history", "over-http projected job-heads", "over-http received http",
		"wrong refused unknown-kind",
	}
	var notes []note
	o.until("every stage is recorded", func() error {
		notes = read("")
		var got []string
		for _, n := range notes {
			got = append(got, n.ID+" "+n.Stage+" "+n.Detail)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	epoch := ""
	for _, n := range notes {
		stored := n.Stage != "received" && n.Stage != "refused"
		if stored != (n.Sequence > 0) || stored != (n.Epoch != "") || (n.Stage == "projected") != (n.TookSeconds > 0) {
			t.Errorf("stage %+v", n)
		}
		if stored {
			epoch = n.Epoch
		}
	}
	if got := read("&id=over-http&epoch=" + epoch); len(got) != 5 {
		t.Errorf("of the epoch %s: %+v", epoch, got)
	}
	if got := read("&id=over-http&epoch=another"); len(got) != 1 || got[0].Stage != "received" {
		t.Errorf("of another epoch: %+v", got)
	}
	if text, err := json.Marshal(notes); err != nil || strings.Contains(string(text), "running") {
		t.Errorf("the stages have contents of events: %s", text)
	}
}
