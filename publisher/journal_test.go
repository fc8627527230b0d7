package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/publisher"
)

// nowhere is a Redis that is not there.
func nowhere(t testing.TB) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// What a life left unconfirmed, the next one sends: in order, to the byte.
func TestJournalOutlivesThePublisher(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Dir, cfg.Sync = t.TempDir(), true
	p, stop := run(t, nowhere(t), cfg)
	all, want := publishAll(t, p, 3, 4)
	if _, err := publisher.New(nowhere(t), cfg, nil); !errors.Is(err, publisher.ErrJournal) {
		t.Errorf("a second publisher on the folder: %v", err)
	}
	if err := stop(); !errors.Is(err, publisher.ErrUnconfirmed) {
		t.Fatalf("error %v", err)
	}

	client := startRedis(t)
	l := startLog(t, client, nil)
	p, stop = run(t, client, cfg)
	if again, err := p.Publish(t.Context(), event(t, "job-0", "job-0/3")); err != nil || again.ID() != "job-0/3" {
		t.Errorf("published again: %v", err) // by a worker that starts over
	}
	if got := l.await(t, len(all)); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored %v", got)
	}
	wantBody, _ := event(t, "job-0", "job-0/0").Encode()
	if at := slices.IndexFunc(l.bodies, func(body string) bool { return strings.Contains(body, "job-0/0") }); l.bodies[at] != string(wantBody) {
		t.Errorf("published %s, want %s", l.bodies[at], wantBody)
	}
	if err := stop(); err != nil && !errors.Is(err, publisher.ErrUnconfirmed) { // the last receipt may be on its way
		t.Error(err)
	}
}

func TestJournalIsWrittenAnew(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	startLog(t, client, nil)
	cfg := quick()
	cfg.Dir = t.TempDir()
	cfg.ReceiptTimeout = 10 * time.Second // what is repeated sooner keeps a busy machine busy
	p, _ := run(t, client, cfg)
	text := strings.Repeat("x", 20_000)
	for i := range 150 {
		envelope := event(t, fmt.Sprintf("job-%d", i%16), fmt.Sprint(i))
		envelope.Event = []byte(`{"type":"long","occurredAt":"now","text":"` + text + `"}`)
		if _, err := p.Publish(t.Context(), envelope); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := p.Publish(t.Context(), event(t, "job-0", "last"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wait(t, pending); err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(filepath.Join(cfg.Dir, "outbox.journal"))
	if err != nil || file.Size() > 3<<20 {
		t.Errorf("the journal has %d bytes, %v; 4 MB went through", file.Size(), err)
	}
}

// A line that broke off, and that could not be cut off either, has nothing written
// behind it: once the file can be cut, the journal goes on, and is whole.
func TestJournalRecoversFromHalfALine(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Dir = t.TempDir()
	p, stop := run(t, nowhere(t), cfg)
	publishAll(t, p, 1, 2)
	publisher.BreakJournal(p, 1, 2)
	for _, id := range []string{"half a line, not cut", "not cut"} {
		if _, err := p.TryPublish(event(t, "job-0", id)); !errors.Is(err, publisher.ErrJournal) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if events, _ := p.Waiting(); events != 2 {
		t.Errorf("%d events wait, want the two that were taken in", events)
	}
	if _, err := p.TryPublish(event(t, "job-0", "cut")); err != nil {
		t.Error(err)
	}
	_ = stop()
	file, err := os.Open(filepath.Join(cfg.Dir, "outbox.journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if ids, err := publisher.ParseJournal(file); err != nil || !slices.Equal(ids, []string{"job-0/job-0/0", "job-0/job-0/1", "job-0/cut"}) {
		t.Errorf("the journal has %q, %v", ids, err)
	}
}

// A journal that could not be rewritten leaves no file behind.
func TestJournalThatIsNotFinishedIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a folder where the journal goes")
	if err := os.MkdirAll(filepath.Join(path, "is not empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := publisher.RewriteJournal(path); err == nil {
		t.Error("a folder was replaced")
	}
	if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was begun is there: %v", err)
	}
}

// A disk that stands still holds up those alone who publish: what was taken in is
// sent meanwhile.
func TestSendingDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	l := startLog(t, client, func(_ string, times int) bool { return times < 3 })
	cfg := quick()
	cfg.Dir = t.TempDir()
	p, _ := run(t, client, cfg)
	all, want := publishAll(t, p, 3, 1)
	held, release := publisher.SlowJournal(p)
	published := make(chan error, 1)
	go func() { // ends with release
		_, err := p.Publish(t.Context(), event(t, "job-3", "job-3/0"))
		published <- err
	}()
	<-held
	l.await(t, len(all))
	if events, _ := p.Waiting(); events > len(all) {
		t.Errorf("%d events wait", events)
	}
	release()
	if err := <-published; err != nil {
		t.Error(err)
	}
	want["job-3"] = []string{"job-3/0"}
	if got := l.await(t, len(all)+1); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("stored %v", got)
	}
	for _, pending := range all {
		if _, err := wait(t, pending); err != nil {
			t.Error(err)
		}
	}
}

// TestPublishOnAStuckDisk: a caller that waits while the journal is written for others is let
// go when its context ends, and its event is not taken in. Whose line is being written
// is told the outcome.
func TestPublishOnAStuckDisk(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Dir = t.TempDir()
	p, _ := run(t, nowhere(t), cfg)
	held, release := publisher.SlowJournal(p)
	own, end := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() { // ends with release
		_, err := p.Publish(own, event(t, "job", "a"))
		published <- err
	}()
	<-held
	end()
	for _, id := range []string{"a", "b"} {
		if _, err := p.Publish(own, event(t, "job", id)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s waits for its turn: %v", id, err)
		}
	}
	release()
	if err := <-published; err != nil {
		t.Errorf("the one whose line was being written: %v", err)
	}
	if events, _ := p.Waiting(); events != 1 {
		t.Errorf("%d events wait, want one", events)
	}
	if _, err := p.Publish(own, event(t, "job", "b")); err != nil {
		t.Errorf("one that need not wait: %v", err)
	}
}

// TestPublishWhileItsEndIsWritten: the same id comes again while the disk is stuck with
// the line that ends it.
func TestPublishWhileItsEndIsWritten(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	var answers atomic.Bool
	startLog(t, client, func(string, int) bool { return !answers.Load() })
	cfg := quick()
	cfg.Dir = t.TempDir()
	p, _ := run(t, client, cfg)
	if _, err := p.Publish(t.Context(), event(t, "job", "a")); err != nil {
		t.Fatal(err)
	}
	held, release := publisher.SlowJournal(p)
	defer release()
	answers.Store(true)
	<-held
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := p.Publish(ended, event(t, "job", "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish: %v", err)
	}
}

func TestParseJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := quick()
	cfg.Dir = dir
	p, stop := run(t, nowhere(t), cfg)
	publishAll(t, p, 1, 3)
	_ = stop()
	whole, err := os.ReadFile(filepath.Join(dir, "outbox.journal"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	broken := strings.Replace(lines[1], "job", "jab", 1)
	tests := map[string]struct {
		text string
		want int
		err  string
	}{
		"empty":                       {"", 0, ""},
		"whole":                       {string(whole), 3, ""},
		"a last line that broke off":  {strings.TrimSuffix(string(whole), lines[2]) + lines[2][:20], 2, ""},
		"a last line without its end": {strings.TrimSuffix(string(whole), "\n"), 2, ""},
		"a last line that is wrong":   {lines[0] + broken, 1, ""},
		"a line that is wrong":        {lines[0] + broken + lines[2], 0, "line 2"},
	}
	for name, test := range tests {
		ids, err := publisher.ParseJournal(strings.NewReader(test.text))
		if len(ids) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, %v", name, ids, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "outbox.journal"), []byte(lines[0]+broken+lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.New(nowhere(t), cfg, nil); !errors.Is(err, publisher.ErrJournal) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v", err)
	}
}

// Ends that were written before an id belonged to its job have the id alone.
func TestParseJournalWithoutJobs(t *testing.T) {
	t.Parallel()
	text := publisher.JournalLine(`{"id":"a","jobId":"j","body":"e30="}`) + publisher.JournalLine(`{"id":"b","jobId":"k","body":"e30="}`) +
		publisher.JournalLine(`{"id":"a"}`) + publisher.JournalLine(`{"id":"a","jobId":"k","body":"e30="}`) + publisher.JournalLine(`{"id":"b","jobId":"j"}`)
	if ids, err := publisher.ParseJournal(strings.NewReader(text)); err != nil || !slices.Equal(ids, []string{"k/b", "k/a"}) {
		t.Errorf("%q wait, %v", ids, err)
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("00000000 {}\n"))
	f.Add([]byte("3f1c9a02 {\"id\":\"a\",\"jobId\":\"j\",\"body\":\"e30=\"}\n77d0e1b4 {\"id\":\"a\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := publisher.ParseJournal(strings.NewReader(string(data)))
		if err != nil && len(ids) > 0 {
			t.Errorf("%v beside %v", ids, err)
		}
		if slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, "/") || strings.HasSuffix(id, "/") }) || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
			t.Errorf("ids %q", ids)
		}
	})
}
