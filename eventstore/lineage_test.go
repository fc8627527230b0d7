package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/freeaddr"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/messaging"
)

// disk is a server whose folder can be put back to an earlier state.
type disk struct {
	server         *natsserver.Server
	dir, snapshot  string
	address        string
	serverIsClosed bool
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	address, err := freeaddr.New()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	d := &disk{dir: root + "/data", snapshot: root + "/snapshot", address: address}
	d.start(t)
	t.Cleanup(func() {
		if !d.serverIsClosed {
			closeServer(t, d.server)
		}
	})
	return d
}

func (d *disk) start(t *testing.T) {
	t.Helper()
	server, err := natsserver.Start(natsserver.Config{StoreDir: d.dir, Listen: d.address})
	if err != nil {
		t.Fatal(err)
	}
	d.server, d.serverIsClosed = server, false
}

func (d *disk) stop(t *testing.T) {
	t.Helper()
	closeServer(t, d.server)
	d.serverIsClosed = true
}

// save keeps what is on the disk; the server is away meanwhile.
func (d *disk) save(t *testing.T) {
	t.Helper()
	d.stop(t)
	if err := os.CopyFS(d.snapshot, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	d.start(t)
}

// rollBack puts the disk back to what was saved.
func (d *disk) rollBack(t *testing.T) {
	t.Helper()
	d.stop(t)
	if err := os.RemoveAll(d.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.snapshot, d.dir); err != nil {
		t.Fatal(err)
	}
	d.start(t)
}

func (d *disk) connect(t *testing.T) *nats.Conn { return connect(t, "nats://"+d.address) }

// connected waits until a connection stands again.
func connected(t *testing.T, conn *nats.Conn) {
	t.Helper()
	eventually(t, "the connection", func() bool { return conn.IsConnected() })
}

// guard runs the comparisons until the test ends.
func guard(t *testing.T, log *eventstore.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Guard(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := await(t, "the guard to end", done); err != nil {
			t.Error(err)
		}
	})
}

func texts(from, to int) []messaging.Record {
	var records []messaging.Record
	for i := from; i <= to; i++ {
		records = append(records, withID("job", fmt.Sprintf("e-%d", i), fmt.Sprint(i)))
	}
	return records
}

// A server behind running gateways loses its tail: the first who notices begins one
// new epoch, whether the log is still shorter or has given the sequences out again,
// and everybody follows.
func TestTailLostBehindRunningGateways(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]int{"shorter": 0, "given out again": 25} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t)
			first, second := open(t, d.connect(t)), open(t, d.connect(t))
			first.add(t, texts(1, 30)...)
			d.save(t)
			connected(t, first.conn)
			connected(t, second.conn)
			first.add(t, texts(31, 50)...)
			for _, b := range []*bundle{first, second} {
				if state, err := b.log.State(t.Context()); err != nil || state.Last != 50 {
					t.Fatalf("state = %+v, %v", state, err)
				}
			}
			old := first.log.Epoch()
			heard := newListener()
			tail := runTail(t, second.log, heard)
			if err := tail.Follow(t.Context(), "job"); err != nil {
				t.Fatal(err)
			}
			if again > 0 { // by somebody who compares nothing
				first.conn.Close()
			}
			d.rollBack(t)
			if again > 0 {
				foreign, err := nats.Connect("nats://" + d.address)
				if err != nil {
					t.Fatal(err)
				}
				defer foreign.Close()
				for range again {
					if _, err := foreign.Request("novel.events.other", []byte("x"), patience); err != nil {
						t.Fatal(err)
					}
				}
				first = open(t, d.connect(t))
			}
			guard(t, first.log)
			guard(t, second.log)
			eventually(t, "one new epoch", func() bool {
				return second.log.Epoch() != old && first.log.Epoch() == second.log.Epoch()
			})
			eventually(t, "the followers to be told", func() bool {
				select {
				case cause := <-heard.disrupted:
					return cause == messaging.DisruptionEpoch
				default:
					return false
				}
			})
			identity, found, err := second.log.Identity(t.Context())
			if err != nil || !found || identity.Reason != eventstore.EpochTailLost || !slices.Equal(identity.Previous, []string{old}) {
				t.Errorf("identity = %+v, %v, %v", identity, found, err)
			}
			if second.counter(t, "epochs_begun_total") != 1 {
				t.Error("the new epoch is not counted once")
			}
			attached, err := eventstore.Attach(t.Context(), second.conn, eventstore.DefaultConfig(), nil, nil)
			if err != nil || attached.Epoch() != second.log.Epoch() {
				t.Errorf("a tool sees epoch %v, %v", attached, err)
			}
		})
	}
}

// An append that is given a sequence which this process has seen begins the epoch
// itself: nothing is handed out under a position that was seen.
func TestAppendNoticesTheLostTail(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	b := open(t, d.connect(t))
	b.add(t, texts(1, 3)...)
	d.save(t)
	connected(t, b.conn)
	b.add(t, texts(4, 5)...)
	old := b.log.Epoch()
	d.rollBack(t)
	connected(t, b.conn)
	if got := b.add(t, withID("job", "new", "x")); got[0] != 4 {
		t.Fatalf("sequence = %d", got[0])
	}
	records, err := b.log.ReadAfter(t.Context(), "job", 3, 10)
	if err != nil || len(records) != 1 || records[0].Epoch == old {
		t.Errorf("records = %+v, %v", records, err)
	}
}

// memoryKeeper keeps the mark in this process.
type memoryKeeper struct {
	mu    sync.Mutex // guards the fields below
	mark  eventstore.Mark
	doubt string
	// newest is the newest sequence that it has seen itself, after its last mark.
	newest uint64
}

func (k *memoryKeeper) Name() string { return "memory" }

func (k *memoryKeeper) Load(context.Context) (eventstore.Mark, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mark, k.mark.Sequence > 0, nil
}

func (k *memoryKeeper) Store(_ context.Context, mark eventstore.Mark) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mark, k.doubt = mark, ""
	return nil
}

func (k *memoryKeeper) Doubt() string { return k.doubt }

func (k *memoryKeeper) Beyond(_ context.Context, end eventstore.Mark) (uint64, error) {
	if end.Epoch == k.mark.Epoch && k.newest > end.Sequence {
		return k.newest, nil
	}
	return 0, nil
}

// Keepers know better than a log that nobody has open: by its length, by the record
// at the mark, and by a doubt.
func TestKeepersNoticeTheLostTail(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	b := open(t, d.connect(t))
	b.add(t, texts(1, 10)...)
	stored, err := readBack(t.Context(), b.log, "job", math.MaxUint64, 1)
	if err != nil {
		t.Fatal(err)
	}
	at := stored[0].StoredAt
	for name, test := range map[string]struct {
		keeper *memoryKeeper
		begins bool
	}{
		"level":          {&memoryKeeper{mark: eventstore.Mark{Sequence: 10, At: at}}, false},
		"behind":         {&memoryKeeper{mark: eventstore.Mark{Sequence: 5}}, false},
		"of other times": {&memoryKeeper{mark: eventstore.Mark{Epoch: "other", Sequence: 99}}, false},
		"ahead":          {&memoryKeeper{mark: eventstore.Mark{Sequence: 11}}, true},
		"another record": {&memoryKeeper{mark: eventstore.Mark{Sequence: 4, At: at.Add(time.Hour)}}, true},
		"in doubt":       {&memoryKeeper{mark: eventstore.Mark{Sequence: 10, At: at}, doubt: "a copy"}, true},
		"with an old mark, and with newer records":   {&memoryKeeper{mark: eventstore.Mark{Sequence: 2}, newest: 900}, true},
		"without a mark, and with newer records":     {&memoryKeeper{newest: 900}, true},
		"with an old mark, and with the last record": {&memoryKeeper{mark: eventstore.Mark{Sequence: 2}, newest: 10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			again := open(t, d.connect(t))
			before := again.log.Epoch()
			if test.keeper.mark.Epoch == "" {
				test.keeper.mark.Epoch = before
			}
			again.log.Keep(test.keeper)
			for range 2 { // told once
				if err := again.log.Vouch(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if begins := again.log.Epoch() != before; begins != test.begins || again.counter(t, "epochs_begun_total") > 1 {
				t.Errorf("begins a new epoch: %v", begins)
			}
			if later := open(t, d.connect(t)); later.log.Epoch() != again.log.Epoch() {
				t.Error("the next to open the log sees another epoch")
			}
		})
	}
}

// Another tool's edit drops the metadata, or puts an old epoch back: the log is the
// same, and so is its epoch.
func TestEditOfTheMetadataIsNoNewEpoch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add(t, texts(1, 3)...)
	epoch := b.log.Epoch()
	metadata := func() map[string]string {
		stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().Config.Metadata
	}
	drop := func() {
		stream, err := b.js.Stream(t.Context(), "NOVEL_EVENTS")
		if err != nil {
			t.Fatal(err)
		}
		config := stream.CachedInfo().Config
		config.Metadata = nil
		if _, err := b.js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	drop()
	attached, err := eventstore.Attach(t.Context(), b.conn, eventstore.DefaultConfig(), nil, nil)
	if err != nil || attached.Epoch() != epoch {
		t.Errorf("a tool sees another epoch: %v", err)
	}
	if metadata()["novel.epoch"] != "" {
		t.Error("a tool that only looks has written the metadata")
	}
	if state, err := b.log.State(t.Context()); err != nil || state.Epoch != epoch {
		t.Errorf("epoch %s became %s: %v", epoch, state.Epoch, err)
	}
	if metadata()["novel.epoch"] != epoch {
		t.Error("the metadata was not written again")
	}
	drop()
	if again := open(t, b.conn); again.log.Epoch() != epoch {
		t.Error("a gateway that starts sees another epoch")
	}
}

// The server writes the settings of a stream without a sync if it syncs at an interval. A
// power loss can take them and leave records: the server then ignores the stream until it is
// created again, and recovers its records. The new epoch is recorded with what happened.
func TestLostSettingsOfTheStreamsBeginAnEpoch(t *testing.T) {
	t.Parallel()
	for name, streams := range map[string][]string{
		"events":              {"NOVEL_EVENTS"},
		"events and identity": {"NOVEL_EVENTS", "NOVEL_IDENTITY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisk(t)
			b := open(t, d.connect(t))
			b.add(t, texts(1, 3)...)
			epoch := b.log.Epoch()
			d.stop(t)
			for _, stream := range streams {
				settings, err := filepath.Glob(filepath.Join(d.dir, "jetstream", "*", "streams", stream, "meta.*"))
				if err != nil || len(settings) == 0 {
					t.Fatalf("settings of %s: %v, %v", stream, settings, err)
				}
				for _, file := range settings {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				}
			}
			d.start(t)
			again := open(t, d.connect(t))
			identity, found, err := again.log.Identity(t.Context())
			if err != nil || !found {
				t.Fatalf("identity: %v, %v", found, err)
			}
			if identity.Epoch == epoch || identity.Epoch != again.log.Epoch() || !slices.Equal(identity.Previous, []string{epoch}) {
				t.Errorf("epoch %s was followed by %+v", epoch, identity)
			}
			if identity.Reason != eventstore.EpochRestored || !strings.Contains(identity.Detail, "was created at") || identity.Last != 3 {
				t.Errorf("recorded: %+v", identity)
			}
		})
	}
}

// The consumers of projections are of one epoch: in the next they begin with the
// first record.
func TestConsumersBeginAgainInANewEpoch(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	b := open(t, d.connect(t))
	guard(t, b.log)
	b.add(t, texts(1, 3)...)
	applied := make(chan string, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.log.Consume(ctx, "history", 10, func(_ context.Context, records []messaging.Record) error {
			for _, r := range records {
				applied <- r.Epoch + strings.TrimPrefix(r.ID, "e")
			}
			return nil
		})
	}()
	defer func() {
		cancel()
		if err := await(t, "the consumer to end", done); err != nil {
			t.Error(err)
		}
	}()
	expect := func(epoch string, from, to int) {
		t.Helper()
		for i := from; i <= to; i++ {
			if got := await(t, "a record", applied); got != fmt.Sprintf("%s-%d", epoch, i) {
				t.Errorf("record %d: got %s", i, got)
			}
		}
	}
	old := b.log.Epoch()
	expect(old, 1, 3)
	d.save(t)
	connected(t, b.conn)
	b.add(t, texts(4, 6)...)
	expect(old, 4, 6)
	eventually(t, "the records to be acknowledged", func() bool {
		floor, err := b.log.ConsumerFloor(t.Context(), "history")
		return err == nil && floor == 6
	})
	d.rollBack(t)
	eventually(t, "the new epoch", func() bool { return b.log.Epoch() != old })
	if floor, err := b.log.ConsumerFloor(t.Context(), "history"); err == nil && floor > 3 {
		t.Errorf("the floor of the old epoch counts: %d", floor)
	}
	// What was in flight can come once more, under either epoch.
	for {
		if got := await(t, "the first record of the new epoch", applied); got == b.log.Epoch()+"-1" {
			break
		}
	}
	expect(b.log.Epoch(), 2, 3)
}

// The mark of a process that stops names the last sequence, however long ago the last
// round of the guard was.
func TestMarkAtTheStopIsTheLast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.log.Vouch(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.add(t, texts(1, 20)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.log.Guard(ctx); err != nil { // which has no round
		t.Fatal(err)
	}
	js, err := jetstream.New(b.conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "NOVEL_IDENTITY")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), "novel.identity.mark")
	if err != nil {
		t.Fatal(err)
	}
	var mark eventstore.Mark
	if err := json.Unmarshal(stored.Data, &mark); err != nil || mark.Sequence != 20 {
		t.Errorf("the mark is %+v, %v", mark, err)
	}
}
