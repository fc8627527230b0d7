package eventstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
)

// edit changes the configuration of the event stream as another tool does.
func (b *bundle) edit(t *testing.T, change func(*jetstream.StreamConfig)) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// Each edit with which the service cannot keep its promises is named, and a gateway
// that starts undoes what can be undone.
func TestEditsOfTheStreamAreNamed(t *testing.T) {
	t.Parallel()
	for flaw, change := range map[eventstore.Flaw]func(*jetstream.StreamConfig){
		eventstore.FlawSubjects:       func(c *jetstream.StreamConfig) { c.Subjects, c.RePublish = []string{"foo.bar"}, nil },
		eventstore.FlawMaxMessages:    func(c *jetstream.StreamConfig) { c.MaxMsgs = 3 },
		eventstore.FlawPerSubject:     func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 },
		eventstore.FlawMessageSize:    func(c *jetstream.StreamConfig) { c.MaxMsgSize = 150 },
		eventstore.FlawNoAck:          func(c *jetstream.StreamConfig) { c.NoAck = true },
		eventstore.FlawNoDirect:       func(c *jetstream.StreamConfig) { c.AllowDirect = false },
		eventstore.FlawNotRepublished: func(c *jetstream.StreamConfig) { c.RePublish = nil },
		eventstore.FlawDiscard:        func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		eventstore.FlawSealed:         func(c *jetstream.StreamConfig) { c.Sealed = true },
	} {
		t.Run(string(flaw), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if _, err := b.log.State(t.Context()); err != nil || b.log.Flawed() != nil || b.log.Exercise(t.Context(), "x") != nil {
				t.Fatalf("flawed from the start: %v, %v", b.log.Flawed(), err)
			}
			b.edit(t, change)
			if _, err := b.log.State(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := b.log.Flawed(); err == nil || !strings.Contains(err.Error(), flaw.Text()) {
				t.Errorf("flawed: %v", err)
			}
			if b.counter(t, "stream_flaws") < 1 {
				t.Error("the metric does not say it")
			}
			if seen, err := eventstore.Describe(t.Context(), b.conn, "", "NOVEL_EVENTS"); err != nil || !slices.Contains(seen.Flaws(1_000_000), flaw) {
				t.Errorf("described: %v, %v", seen.Flaws(1_000_000), err)
			}
			if flaw == eventstore.FlawSealed || flaw == eventstore.FlawSubjects || flaw == eventstore.FlawNoAck {
				if err := b.log.Exercise(t.Context(), "x"); err == nil {
					t.Error("it can be published")
				}
			}
			again := open(t, b.conn)
			if err := again.log.Flawed(); err == nil && flaw == eventstore.FlawSealed {
				t.Error("a sealed stream is taken for whole")
			} else if flaw != eventstore.FlawSealed {
				if _, err := again.log.State(t.Context()); err != nil || again.log.Flawed() != nil {
					t.Errorf("after a start: %v, %v", again.log.Flawed(), err)
				}
			}
		})
	}
}

// The settings of the log are changed by a command, which says what it deletes, and
// notes who changed what.
func TestChangeOfTheSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, texts(1, 5)...)
	added := time.Now()
	time.Sleep(3 * time.Second) // The time that the machine has from here to the look at the age.
	b.add(t, texts(6, 7)...)
	before, err := b.log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wanted := b.log.Settings()
	wanted.MaxAge, wanted.DuplicateWindow = time.Since(added), time.Second
	loss, err := maintain.Of(b.log).Consider(t.Context(), wanted)
	if err != nil || loss.Through != 5 || loss.Events != 5 || !loss.Any() {
		t.Errorf("loss = %+v, %v", loss, err)
	}
	if after, err := b.log.State(t.Context()); err != nil || after != before {
		t.Errorf("considering has changed the log: %+v, %v", after, err)
	}
	wanted.MaxAge, wanted.DuplicateWindow = time.Hour, time.Minute
	if loss, err := maintain.Of(b.log).Consider(t.Context(), wanted); err != nil || loss.Any() {
		t.Errorf("loss = %+v, %v", loss, err)
	}
	old := b.log.Settings()
	if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err != nil || b.log.Settings() != wanted {
		t.Fatalf("settings = %+v, %v", b.log.Settings(), err)
	}
	changes, err := maintain.Changes(t.Context(), audit.Beside(b.log.Client()))
	if err != nil || len(changes) != 1 || changes[0].By != "somebody" || changes[0].Before != old || changes[0].After != wanted {
		t.Errorf("changes = %+v, %v", changes, err)
	}
	if notes, newest, err := audit.Beside(b.log.Client()).After(t.Context(), 0); err != nil || len(notes) != 0 || newest != 0 {
		t.Errorf("the change is taken for an erasure: %v, %d, %v", notes, newest, err)
	}
	wanted.Replicas = 2
	if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err == nil {
		t.Error("two replicas were taken")
	}
	if again := open(t, b.conn); again.log.Settings().MaxAge != time.Hour {
		t.Error("a gateway that starts has changed the settings")
	}
	if differences := b.log.Settings().Differences(eventstore.DefaultConfig()); len(differences) != 2 {
		t.Errorf("differences = %q", differences)
	}
}
