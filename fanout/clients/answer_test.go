package clients_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/fanout/clients"
	"github.com/letswriteabook/realtime/fanout/recorder"
)

// escaped is a text that JSON makes six times as long.
var escaped = strings.Repeat("<", clients.MaxTextBytes)

// crowd has clients whose texts all have to be escaped.
type crowd struct{}

func (crowd) Clients(_ clients.Filter, each func(clients.Client)) {
	for n := range 2 * clients.MaxRows {
		each(clients.Client{ID: fmt.Sprintf("%04d", n), Subject: escaped, Origin: escaped})
	}
}

func (c crowd) Followers(jobID string, each func(clients.Follower)) {
	c.Clients(clients.Filter{}, func(client clients.Client) {
		each(clients.Follower{Client: client, Subscription: clients.Subscription{JobID: jobID, Epoch: escaped}})
	})
}

func (crowd) Stories(id string) (stories []clients.Story) {
	for n := range 20 {
		story := clients.Story{Client: clients.Client{ID: id, Subscriptions: n}}
		for range 1000 {
			story.Follows = append(story.Follows, clients.Subscription{JobID: escaped})
		}
		for range 32 {
			story.Steps = append(story.Steps, recorder.Step{JobID: escaped})
		}
		stories = append(stories, story)
	}
	return stories
}

func (crowd) Close(clients.Closing) int { return 0 }

func (crowd) Ended(_, _ time.Time, _ clients.Filter, _ func(clients.Ended)) (cut bool) { return false }

// TestAnswersFit: an answer fits into what may be sent, whatever its texts are, and says
// that there is more.
func TestAnswersFit(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{clients.QuestionList, clients.QuestionFollowers, clients.QuestionStory} {
		body, cut, err := clients.Answer(crowd{}, "gateway", kind, json.RawMessage(`{"filter":{},"limit":500,"id":"one"}`))
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if len(encoded) > gateways.MaxAnswerBytes || len(encoded) < 64<<10 {
			t.Errorf("%s: %d bytes", kind, len(encoded))
		}
		if !cut && !strings.HasSuffix(string(encoded), `"more":true}`) {
			t.Errorf("%s does not say that there is more", kind)
		}
	}
	stories, _, _ := clients.Answer(crowd{}, "gateway", clients.QuestionStory, json.RawMessage(`{"id":"one"}`))
	if got := stories.([]clients.Story); len(got) == 0 || got[len(got)-1].Subscriptions != 19 {
		t.Errorf("%d stories, without the newest", len(got))
	}
	steps := make([]recorder.Note, recorder.MaxNotes)
	for i := range steps {
		steps[i] = recorder.Note{JobID: escaped, ID: escaped, Sequence: uint64(i)}
	}
	newest, cut := clients.Newest(steps)
	if encoded, _ := json.Marshal(newest); !cut || len(encoded) > gateways.MaxAnswerBytes || newest[len(newest)-1].Sequence != recorder.MaxNotes-1 {
		t.Errorf("%d notes of %d bytes", len(newest), len(encoded))
	}
}
