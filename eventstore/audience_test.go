package eventstore_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/messaging"
)

// audience is the clients of one gateway: so many follow each job.
type audience struct {
	followers int
	shown     chan messaging.Replay
}

func (a audience) Show(replay messaging.Replay) { a.shown <- replay }
func (a audience) Followers(string) int         { return a.followers }

// serveAudience serves until the test ends, and returns once questions are answered.
func (b *bundle) serveAudience(t *testing.T, a eventstore.Audience) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	before, _, err := b.operators().AskFollowers(t.Context(), "job")
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- b.log.ServeAudience(ctx, a) }() // stopped by cancel
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the end of an audience", ended); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "an audience that answers", func() bool {
		gateways, _, err := b.operators().AskFollowers(t.Context(), "job")
		return err == nil && gateways == before+1
	})
}

func TestAudience(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if gateways, followers, err := b.operators().AskFollowers(t.Context(), "a.*"); err != nil || gateways != 0 || followers != 0 {
		t.Errorf("without gateways: %d, %d, %v", gateways, followers, err)
	}
	first, second := audience{3, make(chan messaging.Replay, 10)}, audience{4, make(chan messaging.Replay, 10)}
	b.serveAudience(t, first)
	b.serveAudience(t, second)
	if gateways, followers, err := b.operators().AskFollowers(t.Context(), "a.*"); err != nil || gateways != 2 || followers != 7 {
		t.Errorf("%d followers at %d gateways, %v; want 7 at 2", followers, gateways, err)
	}
	original := record("a.*", "x")
	again := original
	again.ReplayOf, again.MessageID = messaging.Position{Epoch: "e", Sequence: 7}, "run/e:7"
	// What others publish there is passed over.
	for _, subject := range []string{"novel.replay.%", "novel.replay.job", "novel.followers.%"} {
		if err := b.conn.PublishMsg(&nats.Msg{Subject: subject, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.operators().ShowTo("the room", again); err != nil {
		t.Fatal(err)
	}
	for _, a := range []audience{first, second} {
		shown := await(t, "a replay", a.shown)
		if shown.Room != "the room" || shown.Run != "run" || shown.JobID != "a.*" || shown.Position != again.ReplayOf ||
			shown.ID != original.ID || shown.Kind != original.Kind || shown.EmittedAt != original.EmittedAt || string(shown.Body) != string(original.Body) {
			t.Errorf("shown %+v", shown)
		}
	}
	if state, err := b.log.State(t.Context()); err != nil || state.Last != 0 {
		t.Errorf("the log is at %d, %v", state.Last, err)
	}
	if err := b.operators().ShowTo("", again); err == nil {
		t.Error("a room without a name is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.operators().AskFollowers(ctx, "job"); err == nil {
		t.Error("an answer after the end of the context")
	}
}
