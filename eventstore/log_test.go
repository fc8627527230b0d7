package eventstore_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/natsserver"
)

func TestConfigValidateNamesTheField(t *testing.T) {
	t.Parallel()
	if err := eventstore.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*eventstore.Config){
		"Replicas":           func(c *eventstore.Config) { c.Replicas = 2 },
		"MaxBytes":           func(c *eventstore.Config) { c.MaxBytes = 0 },
		"MaxAge":             func(c *eventstore.Config) { c.MaxAge = -1 },
		"DuplicateWindow":    func(c *eventstore.Config) { c.MaxAge = time.Minute },
		"DeadLetterMaxBytes": func(c *eventstore.Config) { c.DeadLetterMaxBytes = -1 },
		"MaxEventBytes":      func(c *eventstore.Config) { c.MaxEventBytes = 0 },
		"AckTimeout":         func(c *eventstore.Config) { c.AckTimeout = 0 },
		"ReadTimeout":        func(c *eventstore.Config) { c.ReadTimeout = 0 },
		"OpenTimeout":        func(c *eventstore.Config) { c.OpenTimeout = 0 },
	} {
		cfg := eventstore.DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "eventstore: "+field+" is ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestConnectToNobody(t *testing.T) {
	t.Parallel()
	_, err := eventstore.Connect(t.Context(), "nats://user:secret@127.0.0.1:1", eventstore.ConnConfig{})
	if !errors.Is(err, eventstore.ErrConnect) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error = %v", err)
	}
	if _, err := eventstore.Connect(t.Context(), "nats://user:sec ret@host%zz", eventstore.ConnConfig{}); !errors.Is(err, eventstore.ErrConnect) ||
		strings.Contains(err.Error(), "ret@") {
		t.Errorf("error = %v", err)
	}
	for address, want := range map[string]string{
		"127.0.0.1:4222":                      "nats://127.0.0.1:4222",
		"nats://a:b@h:1, tls://token@other:2": "nats://xxxxx@h:1,tls://xxxxx@other:2",
		"\x7f":                                "(hidden)",
	} {
		if got := eventstore.Shown(address); got != want {
			t.Errorf("shown %q = %q, want %q", address, got, want)
		}
	}
}

func TestOpenRefusesEventsTheServerCannotHold(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cfg := eventstore.DefaultConfig()
	cfg.MaxEventBytes = natsserver.MaxPayloadBytes
	if _, err := eventstore.Open(t.Context(), conn, cfg, nil, nil); err == nil || !strings.Contains(err.Error(), "MaxEventBytes") {
		t.Errorf("error = %v", err)
	}
	cfg = eventstore.DefaultConfig()
	cfg.Replicas = 3
	if _, err := eventstore.Open(t.Context(), conn, cfg, nil, nil); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("error = %v", err)
	}
}

func TestOldServers(t *testing.T) {
	t.Parallel()
	for version, old := range map[string]bool{
		"2.10.29": true, "1.4.1": true, "2.11.0": false, "2.15.2": false, "3.0.0-beta": false, "": false,
	} {
		if eventstore.TooOld(version) != old {
			t.Errorf("version %q: old = %v", version, !old)
		}
	}
}

func TestGatewaysAgreeOnOneEpoch(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{})
	const gateways = 8
	epochs := make([]string, gateways)
	var running sync.WaitGroup
	for i := range gateways {
		conn, err := server.Conn(eventstore.ConnOptions(nil)...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		running.Go(func() {
			log, err := eventstore.Open(t.Context(), conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler), nil)
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			epochs[i] = log.Epoch()
		})
	}
	running.Wait()
	if slices.Sort(epochs); epochs[0] == "" || epochs[0] != epochs[gateways-1] {
		t.Errorf("epochs = %q", epochs)
	}
}

func TestEpochAndLimitsSurviveRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, natsserver.Config{StoreDir: dir, SyncAlways: true})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, conn)
	b.add(t, record("job", "a"), record("job", "b"))
	before, err := b.log.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	closeServer(t, server)

	server = startServer(t, natsserver.Config{StoreDir: dir})
	conn, err = server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b = open(t, conn, func(c *eventstore.Config) { c.MaxBytes = 2 << 20; c.MaxAge = time.Hour })
	after, err := b.log.State(t.Context())
	if err != nil || after != before || before.First != 1 || before.Last != 2 {
		t.Errorf("state before %+v, after %+v, %v", before, after, err)
	}
	stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	// They are the log's: a process with others adopts them.
	if cfg := stream.CachedInfo().Config; cfg.MaxBytes != 10<<30 || cfg.MaxAge != 0 || cfg.Discard != jetstream.DiscardNew {
		t.Errorf("limits = %+v", cfg)
	}
	if got := b.log.Settings(); got.MaxBytes != 10<<30 || got.MaxAge != 0 || got.Replicas != 1 {
		t.Errorf("settings = %+v", got)
	}
}

func TestStreamMadeAnewHasANewEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, record("job", "a"))
	old := b.log.Epoch()
	if err := b.js.DeleteStream(t.Context(), "NOVEL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.log.State(t.Context()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("state without a stream: %v", err)
	}

	// An append waits for the stream, and learns the new epoch with it.
	done := make(chan error, 1)
	go func() {
		_, err := b.log.Append(t.Context(), record("job", "b"))
		done <- err
	}()
	eventually(t, "the append to fail once", func() bool { return b.counter(t, "append_retries_total") > 0 })
	again := open(t, b.conn)
	if err := await(t, "the append", done); err != nil {
		t.Fatal(err)
	}
	if again.log.Epoch() == old || b.log.Epoch() != again.log.Epoch() {
		t.Errorf("epochs: old %s, known %s, new %s", old, b.log.Epoch(), again.log.Epoch())
	}
	records, err := b.log.ReadAfter(t.Context(), "job", 0, 10)
	if err != nil || len(records) != 1 || records[0].Epoch != again.log.Epoch() || records[0].Sequence != 1 {
		t.Errorf("records = %+v, %v", records, err)
	}
}

// A stream that an operator made without an epoch gets the same from everyone.
func TestForeignStreamIsAdopted(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{})
	conn, err := server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "NOVEL_EVENTS", Subjects: []string{"novel.events.>"}, Description: "mine", Metadata: map[string]string{"owner": "us"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Something that is no record is in it, and stops nobody.
	if _, err := js.Publish(t.Context(), "novel.events.job", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	first, second := open(t, conn), open(t, conn)
	if first.log.Epoch() == "" || first.log.Epoch() != second.log.Epoch() {
		t.Errorf("epochs %q and %q", first.log.Epoch(), second.log.Epoch())
	}
	first.add(t, record("job", "a"))
	if records, err := first.log.ReadAfter(t.Context(), "job", 0, 1); err != nil || len(records) != 1 || records[0].Sequence != 2 {
		t.Errorf("records = %+v, %v", records, err)
	}
	if records, err := readBack(t.Context(), first.log, "job", math.MaxUint64, 5); err != nil || len(records) != 1 {
		t.Errorf("newest = %+v, %v", records, err)
	}
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	if owner := stream.CachedInfo().Config.Metadata["owner"]; owner != "us" {
		t.Errorf("owner = %q", owner)
	}
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.log.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if head, err := b.log.Head(t.Context()); err != nil || head != 0 {
		t.Errorf("head of an empty log = %d, %v", head, err)
	}
	if state, err := b.log.State(t.Context()); err != nil || state.First != 1 {
		t.Errorf("state of an empty log = %+v, %v", state, err)
	}
	eventstore.SetFailing(b.log, time.Now().Add(-10*time.Second))
	if err := b.log.Healthy(t.Context()); err != nil {
		t.Errorf("while appends fail for a moment: %v", err)
	}
	eventstore.SetFailing(b.log, time.Now().Add(-time.Minute))
	if err := b.log.Healthy(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("while appends fail for long: %v", err)
	}
	b.add(t, record("job", "x"))
	if err := b.log.Healthy(t.Context()); err != nil {
		t.Errorf("after an append: %v", err)
	}

	closeServer(t, b.server)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.log.Healthy(ctx); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	if _, err := b.log.ReadAfter(ctx, "job", 0, 1); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("read without a server: %v", err)
	}
}
