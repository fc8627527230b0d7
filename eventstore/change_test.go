package eventstore_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/eventstore/shares"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
)

// What a gateway or the server does not take is refused before anything is changed or
// recorded, also when it is only considered, and in the operators' words.
func TestRefusedChangeIsNotRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	operators := maintain.Of(b.log)
	before := b.log.Settings()
	for name, change := range map[string]func(*eventstore.Settings){
		"replicas is 2":           func(s *eventstore.Settings) { s.Replicas = 2 },
		"replicas > 1":            func(s *eventstore.Settings) { s.Replicas = 3 }, // The server is alone.
		"max-bytes is 1000":       func(s *eventstore.Settings) { s.MaxBytes = 1000 },
		"insufficient storage":    func(s *eventstore.Settings) { s.MaxBytes = 1 << 60 },
		"max-age is -1s":          func(s *eventstore.Settings) { s.MaxAge = -time.Second },
		"dedup-window is 5m0s":    func(s *eventstore.Settings) { s.MaxAge = time.Minute },
		"no bucket of sessions":   func(s *eventstore.Settings) { s.SessionTTL = time.Minute },
		"dedup-window is 1ms":     func(s *eventstore.Settings) { s.DuplicateWindow = time.Millisecond },
		"no bucket of sessions y": func(s *eventstore.Settings) { s.SessionMaxBytes = 1 << 30 },
	} {
		wanted := before
		change(&wanted)
		_, considered := operators.Consider(t.Context(), wanted)
		for _, err := range []error{considered, operators.Change(t.Context(), "somebody", wanted)} {
			if !errors.Is(err, maintain.ErrRefused) || !strings.Contains(err.Error(), strings.TrimSuffix(name, " y")) ||
				strings.Contains(err.Error(), "eventstore:") || strings.Contains(err.Error(), "Replicas") || strings.Contains(err.Error(), "MaxAge") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if changes, err := maintain.Changes(t.Context(), audit.Beside(b.log.Client())); err != nil || len(changes) != 0 {
		t.Errorf("changes = %+v, %v", changes, err)
	}
	if _, err := b.log.State(t.Context()); err != nil || b.log.Settings() != before {
		t.Errorf("settings = %+v, %v", b.log.Settings(), err)
	}
	for stream := range b.js.StreamNames(t.Context()).Name() {
		if strings.Contains(stream, "PROBE") {
			t.Errorf("stream %s is left", stream)
		}
	}
}

// A change that fails after it was recorded shows as one that failed.
func TestFailedChangeIsRecordedAsFailed(t *testing.T) {
	t.Parallel()
	all, narrow := &server.User{Username: "all", Password: "all"}, &server.User{Username: "narrow", Password: "narrow"}
	narrow.Permissions = &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.UPDATE.NOVEL_EVENTS"}}}
	node := logkit.Server(t, server.Options{JetStream: true, StoreDir: t.TempDir(), Users: []*server.User{all, narrow}})
	address := strings.TrimPrefix(node.ClientURL(), "nats://")
	b := open(t, connect(t, "nats://all:all@"+address))
	limits := eventstore.DefaultConfig()
	limits.OpenTimeout = 2 * time.Second // The server does not answer what it forbids.
	operators, err := maintain.Attach(t.Context(), connect(t, "nats://narrow:narrow@"+address), limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := b.log.Settings()
	wanted := before
	wanted.MaxAge = time.Hour
	if err := operators.Change(t.Context(), "somebody", wanted); err == nil {
		t.Fatal("the change succeeded")
	}
	if err := maintain.Of(b.log).Change(t.Context(), "somebody else", wanted); err != nil {
		t.Fatal(err)
	}
	changes, err := maintain.Changes(t.Context(), audit.Beside(b.log.Client()))
	if err != nil || len(changes) != 2 {
		t.Fatalf("changes = %+v, %v", changes, err)
	}
	if c := changes[0]; c.By != "somebody" || c.Outcome != maintain.OutcomeFailed || c.Error == "" || c.Before != before {
		t.Errorf("the one that failed: %+v", c)
	}
	if c := changes[1]; c.By != "somebody else" || c.Outcome != maintain.OutcomeDone || c.Error != "" || c.Before != before || c.After != wanted {
		t.Errorf("the one that succeeded: %+v", c)
	}
}

// A change of the replicas reaches every stream of the service, whoever created it and
// whatever it is for, and a repeat reaches those that an earlier change left out.
func TestChangeOfTheReplicasReachesEveryStream(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	c := startNodes(t)
	b := open(t, connect(t, c.urls()), func(cfg *eventstore.Config) {
		cfg.MaxBytes, cfg.DeadLetterMaxBytes, cfg.OpenTimeout = 64<<20, 8<<20, electionPatience
	})
	if err := begin(t, b, "a target").End(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Beside(b.log.Client()).Note(t.Context(), audit.Erasure{ID: "an erasure", JobID: "job", Stage: audit.StageDone}); err != nil {
		t.Fatal(err)
	}
	stored := sessions.DefaultConfig()
	stored.MaxBytes = 8 << 20
	if _, err := sessions.Open(t.Context(), b.log, stored, nil, b.reg); err != nil {
		t.Fatal(err)
	}
	join(t, b, shares.DefaultConfig(), messaging.Share{Total: 1})
	if _, err := revocations.Open(t.Context(), b.log, time.Hour, slog.New(slog.DiscardHandler), b.reg); err != nil {
		t.Fatal(err)
	}
	replicas := func() map[string]int {
		found := map[string]int{}
		listed := b.js.ListStreams(t.Context())
		for info := range listed.Info() {
			if info.Config.PersistMode != jetstream.AsyncPersistMode {
				found[info.Config.Name] = info.Config.Replicas
			}
		}
		if err := listed.Err(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := len(eventstore.BesideStreams()) // All of them and the events, without the sessions of one replica.
	eventually(t, "every stream to exist", func() bool { return len(replicas()) == want })
	for _, count := range []int{3, 1} {
		wanted, err := maintain.Of(b.log).AllSettings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wanted.Replicas = count
		if uneven, err := maintain.Of(b.log).Uneven(t.Context(), count); err != nil || len(uneven) != want-1 {
			t.Errorf("uneven = %q, %v", uneven, err)
		}
		if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err != nil {
			t.Fatal(err)
		}
		for stream, has := range replicas() {
			if has != count {
				t.Errorf("stream %s has %d replicas, want %d", stream, has, count)
			}
		}
		if uneven, err := maintain.Of(b.log).Uneven(t.Context(), count); err != nil || len(uneven) != 0 {
			t.Errorf("uneven = %q, %v", uneven, err)
		}
	}
}
