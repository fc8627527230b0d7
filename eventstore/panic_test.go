package eventstore_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/messaging"
)

// panicking is a JetStream whose next publications panic.
type panicking struct {
	jetstream.JetStream
	left *atomic.Int32
}

func (p panicking) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if p.left.Add(-1) >= 0 {
		panic("for the test")
	}
	return p.JetStream.PublishMsg(ctx, msg, opts...)
}

// A save that panics loses its session's state, as one that is too large does, and the
// writers go on.
func TestPanicInASaveCostsItsSessionOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sessions := b.openSessions(t)
	var left atomic.Int32
	b.log.WrapJetStream(func(js jetstream.JetStream) jetstream.JetStream { return panicking{js, &left} })
	left.Store(1)
	runSessions(t, sessions)
	sessions.Save(sessionID(1), []byte("lost"))
	b.settled(t)
	sessions.Save(sessionID(2), []byte("kept"))
	b.settled(t)
	mustLoad(t, sessions, sessionID(1), "-")
	mustLoad(t, sessions, sessionID(2), "kept")
	if n := b.counter(t, "panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}

// alarmed is an audience that panics over one job.
type alarmed struct{ audience }

func (a alarmed) Followers(jobID string) int {
	if jobID == "bad" {
		panic("for the test")
	}
	return a.audience.Followers(jobID)
}

// A panic over one message to the audience costs that message alone.
func TestPanicInTheAudienceCostsItsMessageOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serveAudience(t, alarmed{audience{3, make(chan messaging.Replay, 10)}})
	if gateways, _, err := b.log.AskFollowers(t.Context(), "bad"); err != nil || gateways != 0 {
		t.Errorf("%d gateways, %v", gateways, err)
	}
	if gateways, followers, err := b.log.AskFollowers(t.Context(), "good"); err != nil || gateways != 1 || followers != 3 {
		t.Errorf("%d followers at %d gateways, %v", followers, gateways, err)
	}
	if n := b.counter(t, "panics_total"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}
