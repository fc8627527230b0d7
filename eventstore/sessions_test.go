package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// sessionID returns a session's id.
func sessionID(number int) string { return fmt.Sprintf("session-_ID%011d", number) }

// openSessions opens the sessions beside a bundle's log, and counts in its registry.
func (b *bundle) openSessions(t testing.TB, change ...func(*sessions.Config)) *sessions.Store {
	t.Helper()
	cfg := sessions.DefaultConfig()
	for _, f := range change {
		f(&cfg)
	}
	store, err := sessions.Open(t.Context(), b.log, cfg, nil, b.reg)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// runSessions runs sessions until stop is called or the test ends. stop returns
// what Run returned.
func runSessions(t testing.TB, store *sessions.Store) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return await(t, "the sessions to end", done)
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// settled waits until nothing waits to be stored.
func (b *bundle) settled(t testing.TB) {
	t.Helper()
	eventually(t, "all saves to be stored", func() bool { return b.counter(t, "session_waiting_saves") == 0 })
}

// mustLoad fails the test unless the session has that state; "-" stands for none.
func mustLoad(t testing.TB, store *sessions.Store, id, want string) {
	t.Helper()
	state, found, err := store.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("load %s: %v", id, err)
	}
	got := "-"
	if found {
		got = string(state)
	}
	if got != want {
		t.Errorf("state of %s is %q, want %q", id, got, want)
	}
}

func TestSessionsConfigValidateNamesTheField(t *testing.T) {
	t.Parallel()
	if err := sessions.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*sessions.Config){
		"TTL":             func(c *sessions.Config) { c.TTL = 0 },
		"Replicas":        func(c *sessions.Config) { c.Replicas = 2 },
		"MaxBytes":        func(c *sessions.Config) { c.MaxBytes = 0 },
		"MaxStateBytes":   func(c *sessions.Config) { c.MaxStateBytes = 0 },
		"MaxWaitingBytes": func(c *sessions.Config) { c.MaxWaitingBytes = c.MaxStateBytes },
		"FlushTimeout":    func(c *sessions.Config) { c.FlushTimeout = 0 },
	} {
		cfg := sessions.DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "eventstore: sessions: "+field+" is ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	b := setup(t)
	cfg := sessions.DefaultConfig()
	cfg.MaxStateBytes = natsserver.MaxPayloadBytes + 1
	if _, err := sessions.Open(t.Context(), b.log, cfg, nil, nil); err == nil || !strings.Contains(err.Error(), "MaxStateBytes") {
		t.Errorf("error = %v", err)
	}
}

// What was saved last is loaded, while it waits, once it is stored, and from
// another gateway.
func TestSessionsSaveLoadForget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	conn, err := b.server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	elsewhere := open(t, conn).openSessions(t)

	id, other, empty := sessionID(1), sessionID(2), sessionID(3)
	mustLoad(t, store, id, "-")
	store.Save(id, []byte("one"))
	store.Save(other, []byte("other"))
	store.Save(empty, nil)
	mustLoad(t, store, id, "one")
	mustLoad(t, store, empty, "")
	mustLoad(t, elsewhere, id, "-")

	runSessions(t, store)
	b.settled(t)
	for _, gateway := range []*sessions.Store{store, elsewhere} {
		mustLoad(t, gateway, id, "one")
		mustLoad(t, gateway, other, "other")
		mustLoad(t, gateway, empty, "")
	}

	store.Save(id, []byte("two"))
	mustLoad(t, store, id, "two")
	store.Forget(other)
	mustLoad(t, store, other, "-")
	b.settled(t)
	for _, gateway := range []*sessions.Store{store, elsewhere} {
		mustLoad(t, gateway, id, "two")
		mustLoad(t, gateway, other, "-")
	}

	store.Save(other, []byte("again"))
	b.settled(t)
	mustLoad(t, elsewhere, other, "again")
}

// What a caller loads is its own.
func TestSessionsLoadCopies(t *testing.T) {
	t.Parallel()
	store := setup(t).openSessions(t)
	store.Save(sessionID(1), []byte("state"))
	state, _, err := store.Load(t.Context(), sessionID(1))
	if err != nil {
		t.Fatal(err)
	}
	state[0] = 'X'
	mustLoad(t, store, sessionID(1), "state")
}

// The bucket is one to the tools of NATS.
func TestSessionsAreABucket(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	runSessions(t, store)
	store.Save(sessionID(1), []byte("state"))
	store.Save(sessionID(2), []byte("state"))
	b.settled(t)
	store.Forget(sessionID(2))
	b.settled(t)
	bucket, err := b.js.KeyValue(t.Context(), "NOVEL_SESSIONS")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := bucket.Get(t.Context(), sessionID(1)); err != nil || string(entry.Value()) != "state" {
		t.Errorf("entry = %v, %v", entry, err)
	}
	if _, err := bucket.Get(t.Context(), sessionID(2)); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("forgotten: %v", err)
	}
	// An operator removes one.
	if err := bucket.Purge(t.Context(), sessionID(1)); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, store, sessionID(1), "-")
}

// An id that no gateway makes has no state, reaches no subject, and is no error.
func TestSessionsInvalidIDs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	runSessions(t, store)
	store.Save(sessionID(1), []byte("state"))
	b.settled(t)
	ids := []string{
		"", "*", ">", sessionID(1)[1:], sessionID(1) + "0", ">" + sessionID(1)[1:], "session-_ID0000000000*", "session-_ID.0000000001",
		"session-_ID\x000000000001", "session-_ID\n0000000001", "session-_ID/0000000001", "session-_ID=0000000001",
		strings.Repeat("é", 11), strings.Repeat("0", 10_000),
	}
	for _, id := range ids {
		store.Save(id, []byte("intruder"))
		store.Forget(id)
		mustLoad(t, store, id, "-")
	}
	b.settled(t)
	mustLoad(t, store, sessionID(1), "state")
	if got := b.counter(t, "session_saves_total"); got != 1 {
		t.Errorf("%v saves, want 1", got)
	}
	if got := b.counter(t, "session_dropped_saves_total"); got != float64(len(ids)) {
		t.Errorf("%v dropped, want %d", got, len(ids))
	}
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t, func(c *sessions.Config) { c.TTL = time.Second })
	runSessions(t, store)
	started := time.Now()
	store.Save(sessionID(1), []byte("state"))
	b.settled(t)
	eventually(t, "the state to expire", func() bool {
		_, found, err := store.Load(t.Context(), sessionID(1))
		if err != nil {
			t.Fatal(err)
		}
		return !found
	})
	if lived := time.Since(started); lived < time.Second {
		t.Errorf("the state lived %s", lived)
	}
}

// The limits of the bucket are all gateways': a start with others adopts them, a command
// changes them, and what is stored already goes by them.
func TestSessionsLimitsChange(t *testing.T) {
	t.Parallel()
	server := startServer(t, natsserver.Config{SyncAlways: true})
	start := func(ttl time.Duration) (*bundle, *sessions.Store) {
		conn, err := server.Conn(eventstore.ConnOptions(nil)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		b := open(t, conn)
		return b, b.openSessions(t, func(c *sessions.Config) { c.TTL, c.MaxBytes = ttl, 2<<20+int64(ttl) })
	}
	limits := func(b *bundle) jetstream.StreamConfig {
		stream, err := b.js.Stream(t.Context(), "KV_NOVEL_SESSIONS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config
	}
	b, store := start(time.Hour)
	if got := limits(b); got.MaxAge != time.Hour || got.PersistMode != jetstream.AsyncPersistMode || got.MaxMsgsPerSubject != 1 {
		t.Errorf("limits = %+v", got)
	}
	runSessions(t, store)
	store.Save(sessionID(1), []byte("state"))
	b.settled(t)

	b, store = start(2 * time.Second)
	if got := limits(b); got.MaxAge != time.Hour || got.MaxBytes != 2<<20+int64(time.Hour) || store.TTL() != time.Hour {
		t.Errorf("a start has changed the limits: %+v; TTL = %s", got, store.TTL())
	}
	mustLoad(t, store, sessionID(1), "state")

	wanted, err := maintain.Of(b.log).AllSettings(t.Context())
	if err != nil || wanted.SessionTTL != time.Hour || wanted.SessionMaxBytes != 2<<20+int64(time.Hour) {
		t.Fatalf("settings %+v, %v", wanted, err)
	}
	before := wanted
	wanted.SessionTTL = time.Millisecond
	if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err == nil {
		t.Error("a time to live of a millisecond was taken")
	}
	wanted.SessionTTL, wanted.SessionMaxBytes = 2*time.Hour, 3<<20
	if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err != nil {
		t.Fatal(err)
	}
	if got := limits(b); got.MaxAge != 2*time.Hour || got.MaxBytes != 3<<20 || got.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("limits = %+v", got)
	}
	if changes, err := maintain.Changes(t.Context(), audit.Beside(b.log.Client())); err != nil || len(changes) != 1 || changes[0].Before != before || changes[0].After != wanted {
		t.Errorf("changes %+v, %v", changes, err)
	}
	mustLoad(t, store, sessionID(1), "state")

	wanted.SessionTTL = time.Second
	if err := maintain.Of(b.log).Change(t.Context(), "somebody", wanted); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state to expire", func() bool {
		_, found, err := store.Load(t.Context(), sessionID(1))
		return err == nil && !found
	})
}

// Saves wait while the server is away, and are stored once it is back, each
// session's newest alone.
func TestSessionsWaitForTheServer(t *testing.T) {
	t.Parallel()
	cfg := natsserver.Config{StoreDir: t.TempDir(), Listen: testkit.FreeAddr(t), SyncAlways: true}
	server := startServer(t, cfg)
	b := open(t, connect(t, server.ClientURL()), func(c *eventstore.Config) { c.AckTimeout, c.ReadTimeout = 500*time.Millisecond, time.Second })
	store := b.openSessions(t)
	stop := runSessions(t, store)
	const count = 300
	for i := range count {
		store.Save(sessionID(i), []byte("before"))
	}
	b.settled(t)
	stored := b.counter(t, "session_saves_total")
	closeServer(t, server)

	for i := range count {
		store.Save(sessionID(i), []byte("while away"))
	}
	eventually(t, "a save to fail", func() bool { return b.counter(t, "session_save_retries_total") > 0 })
	for i := range count {
		store.Save(sessionID(i), []byte("newest"))
	}
	store.Forget(sessionID(0))
	mustLoad(t, store, sessionID(1), "newest")
	if _, _, err := store.Load(t.Context(), sessionID(count)); !errors.Is(err, eventstore.ErrUnavailable) || strings.Contains(err.Error(), sessionID(count)) {
		t.Errorf("load of one that does not wait: %v", err)
	}
	if waiting := b.counter(t, "session_waiting_saves"); waiting != count {
		t.Errorf("%v wait, want %d", waiting, count)
	}

	startServer(t, cfg)
	b.settled(t)
	if err := stop(); err != nil {
		t.Errorf("run: %v", err)
	}
	elsewhere := open(t, connect(t, "nats://"+cfg.Listen)).openSessions(t)
	mustLoad(t, elsewhere, sessionID(0), "-")
	for i := 1; i < count; i++ {
		mustLoad(t, elsewhere, sessionID(i), "newest")
	}
	if got := b.counter(t, "session_saves_total") - stored; got < count || got >= 3*count {
		t.Errorf("%v saves for %d sessions", got, count)
	}
}

// Run stores what waits when it is told to end, within its bound.
func TestSessionsFlush(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *eventstore.Config) { c.AckTimeout = 500 * time.Millisecond })
	store := b.openSessions(t, func(c *sessions.Config) { c.FlushTimeout = patience })
	const count = 1000
	for i := range count {
		store.Save(sessionID(i), []byte("state"))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Run(ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if got := b.counter(t, "session_saves_total"); got != count {
		t.Errorf("%v stored, want %d", got, count)
	}

	closeServer(t, b.server)
	conn := connect(t, startServer(t, natsserver.Config{Listen: "127.0.0.1:0"}).ClientURL())
	lonely := open(t, conn)
	store = lonely.openSessions(t, func(c *sessions.Config) { c.FlushTimeout = time.Second })
	conn.Close()
	store.Save(sessionID(1), []byte("state"))
	started := time.Now()
	if err := store.Run(ended); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("run without a server: %v", err)
	}
	if took := time.Since(started); took < time.Second || took > patience {
		t.Errorf("gave up after %s", took)
	}
	if got := lonely.counter(t, "session_dropped_saves_total"); got != 1 {
		t.Errorf("%v dropped, want 1", got)
	}
}

// Of one session a later state never gives way to an earlier one, however many
// are saved at once.
func TestSessionsKeepOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	watched, err := b.conn.SubscribeSync("$KV.NOVEL_SESSIONS.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := watched.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	stop := runSessions(t, store)
	const lanes, each, rounds = 8, 10, 400
	var saving sync.WaitGroup
	for lane := range lanes {
		saving.Go(func() {
			for round := range rounds {
				for i := range each {
					id := sessionID(lane*each + i)
					if round%17 == 16 && round < rounds-1 {
						store.Forget(id)
						continue
					}
					store.Save(id, fmt.Appendf(nil, "%05d", round))
					if state, found, err := store.Load(t.Context(), id); round%100 == 0 && (err != nil || !found || string(state) != fmt.Sprintf("%05d", round)) {
						t.Errorf("read after write: %q, %v, %v", state, found, err)
					}
				}
			}
		})
	}
	saving.Wait()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i := range lanes * each {
		mustLoad(t, store, sessionID(i), fmt.Sprintf("%05d", rounds-1))
	}
	if err := b.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	newest := map[string]string{}
	for {
		msg, err := watched.NextMsg(100 * time.Millisecond)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if state := string(msg.Data); state != "" {
			if state <= newest[msg.Subject] {
				t.Fatalf("%s: %s after %s", msg.Subject, state, newest[msg.Subject])
			}
			newest[msg.Subject] = state
		}
	}
	if len(newest) != lanes*each {
		t.Errorf("%d sessions were stored, want %d", len(newest), lanes*each)
	}
}

// At the bound the oldest saves are dropped, and with them the states they were
// to replace.
func TestSessionsBound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const room = 10
	store := b.openSessions(t, func(c *sessions.Config) {
		c.MaxStateBytes = 1000
		c.MaxWaitingBytes = room * (256 + 1000)
	})
	state := func(text string) []byte { return []byte(text + strings.Repeat(".", 1000-len(text))) }
	stop := runSessions(t, store)
	store.Save(sessionID(0), []byte("long past"))
	b.settled(t)
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	for i := range room {
		store.Save(sessionID(i), state("new"))
	}
	store.Save(sessionID(1), state("newer")) // Takes no more room, and keeps its place.
	if dropped := b.counter(t, "session_dropped_saves_total"); dropped != 0 {
		t.Errorf("%v dropped below the bound", dropped)
	}
	store.Save(sessionID(room), state("new"))
	store.Save(sessionID(room+1), state("new"))
	if dropped := b.counter(t, "session_dropped_saves_total"); dropped != 3 {
		t.Errorf("%v dropped, want 3: two for the states, one for the room that removals take", dropped)
	}
	for i := range 3 {
		mustLoad(t, store, sessionID(i), "-")
	}
	mustLoad(t, store, sessionID(3), string(state("new")))

	// Far beyond it, removals go too.
	for i := range 100 * room {
		store.Save(sessionID(1000+i), state("new"))
	}
	if waiting := b.counter(t, "session_waiting_saves"); waiting > room*(256+1000)/256 {
		t.Errorf("%v wait", waiting)
	}
	mustLoad(t, store, sessionID(1000+100*room-1), string(state("new")))
}

// A state that is too large, here or for the server, is not kept, and neither is
// the one before it.
func TestSessionsTooLarge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t, func(c *sessions.Config) { c.MaxStateBytes = 1000 })
	runSessions(t, store)
	store.Save(sessionID(1), make([]byte, 1000))
	store.Save(sessionID(2), []byte("small"))
	b.settled(t)
	mustLoad(t, store, sessionID(1), string(make([]byte, 1000)))
	store.Save(sessionID(1), make([]byte, 1001))
	b.settled(t)
	mustLoad(t, store, sessionID(1), "-")

	stream, err := b.js.Stream(t.Context(), "KV_NOVEL_SESSIONS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxMsgSize = 500
	if _, err := b.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	store.Save(sessionID(2), make([]byte, 600))
	b.settled(t)
	mustLoad(t, store, sessionID(2), "-")
	if dropped := b.counter(t, "session_dropped_saves_total"); dropped != 2 {
		t.Errorf("%v dropped, want 2", dropped)
	}
}
