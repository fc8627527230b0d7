package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/messaging"
)

// followPause is the wait between two connections of a follower.
const followPause = 100 * time.Millisecond

// follower follows jobs over Server-Sent Events, with one stream for each job. After a lost
// connection it connects to any of the gateways with the last sequence it received.
type follower struct {
	name     string
	gateways []string // base URLs
	token    string   // empty: none
	journal  *oracle.Journal
	client   *http.Client
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu   sync.Mutex // guards the fields below
	last map[string]uint64
	// position is the position from which each job is resumed, the id of the last event.
	position map[string]string
	resumes  int
	gaps     []string
	// renewed has the jobs for which a new epoch was announced; nil while none is expected.
	renewed map[string]bool
	changed chan struct{} // closed and replaced with each delivery
}

// beginning is the position before the first event.
const beginning = "0"

// follow starts a follower from a position in each job, which runs until close. A follower
// that begins in a new epoch must not receive events of an earlier one.
func follow(ctx context.Context, name string, gateways []string, token string, positions map[string]string, epoch epochState, journal *oracle.Journal) *follower {
	f := &follower{
		name: name, gateways: gateways, token: token, journal: journal, last: map[string]uint64{}, position: maps.Clone(positions), changed: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if epoch == epochExpected {
		f.expectEpoch()
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	for job, text := range positions {
		position, _ := messaging.ParsePosition(text) // the beginning has no epoch
		if epoch == epochRenewed {
			journal.Renewed(name, job)
		} else {
			journal.Follows(name, job, position.Sequence)
		}
		f.last[job] = position.Sequence
	}
	for job := range positions {
		f.running.Go(func() { f.run(ctx, job) }) // ends with ctx
	}
	return f
}

// epochState is the epoch in which a follower begins.
type epochState int

const (
	epochSame     epochState = iota // the epoch of the whole trial
	epochExpected                   // an earlier epoch, so that it must be told of the new one
	epochRenewed                    // the new epoch
)

// positions returns the position from which the follower would resume each job.
func (f *follower) positions() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.position)
}

func (f *follower) close() {
	f.stop()
	f.running.Wait()
	f.client.CloseIdleConnections()
}

// run connects repeatedly until ctx ends.
func (f *follower) run(ctx context.Context, job string) {
	for attempt := 0; ; attempt++ {
		f.stream(ctx, f.gateways[attempt%len(f.gateways)], job, attempt > 0)
		if wait.For(ctx, followPause) != nil {
			return
		}
	}
}

// stream reads one connection until it ends. The error that ended it is ignored.
func (f *follower) stream(ctx context.Context, gateway, job string, again bool) {
	f.mu.Lock()
	since := f.position[job]
	f.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/api/realtime/jobs/%s/stream?since=%s", gateway, url.PathEscape(job), url.QueryEscape(since)), nil)
	if err != nil {
		return
	}
	if f.token != "" {
		request.Header.Set("Authorization", "Bearer "+f.token)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return
	}
	if again {
		f.mu.Lock()
		f.resumes++
		f.mu.Unlock()
	}
	name, id := "", ""
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			f.take(job, name, id, value)
			name, id = "", ""
		}
	}
}

func (f *follower) take(job, name, id, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == messaging.EventGap {
		f.takeGap(job, data)
	}
	position, err := messaging.ParsePosition(id)
	if err != nil {
		return // about the stream itself
	}
	var payload struct{ ID string }
	if json.Unmarshal([]byte(data), &payload) != nil {
		payload.ID = "unreadable at " + id
	}
	// A cursor resumes after the last event, so a reconnection does not excuse a repeated
	// event.
	f.journal.Delivered(f.name, payload.ID, job, position.Sequence, false)
	f.last[job], f.position[job] = max(f.last[job], position.Sequence), id
	close(f.changed)
	f.changed = make(chan struct{})
}

// takeGap records a gap. For an expected new epoch, everything is delivered again.
func (f *follower) takeGap(job, data string) {
	var gap messaging.Gap
	if f.renewed == nil || json.Unmarshal([]byte(data), &gap) != nil || gap.Reason != messaging.GapEpoch {
		f.gaps = append(f.gaps, data)
		return
	}
	f.renewed[job] = true
	f.journal.Renewed(f.name, job)
	f.last[job], f.position[job] = 0, beginning
	close(f.changed)
	f.changed = make(chan struct{})
}

// judgeGaps fails if the follower was told of a gap. With purged, it fails if the follower
// was not told, for one of its jobs, that the beginning is missing.
func (f *follower) judgeGaps(purged bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !purged {
		if len(f.gaps) > 0 {
			return fmt.Errorf("client %s was told of a gap: %s", f.name, f.gaps[0])
		}
		return nil
	}
	told := map[string]bool{}
	for _, data := range f.gaps {
		var gap messaging.Gap
		if err := json.Unmarshal([]byte(data), &gap); err != nil || gap.Reason != messaging.GapRetention {
			return fmt.Errorf("client %s was told of another gap than that of the purge: %s", f.name, data)
		}
		told[gap.JobID] = true
	}
	if len(told) != len(f.last) {
		return fmt.Errorf("client %s was told of the purge for %d of %d jobs", f.name, len(told), len(f.last))
	}
	return nil
}

// expectEpoch announces that the log will begin a new epoch.
func (f *follower) expectEpoch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewed = map[string]bool{}
}

// awaitEpoch waits until the follower was told of the new epoch for each of its jobs.
func (f *follower) awaitEpoch(ctx context.Context) error {
	for {
		f.mu.Lock()
		told, jobs, changed := len(f.renewed), len(f.last), f.changed
		f.mu.Unlock()
		if told == jobs {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("client %s was told of a new epoch for %d of %d jobs: %w", f.name, told, jobs, ctx.Err())
		}
	}
}

// await waits until the follower has reached a sequence in each of its jobs.
func (f *follower) await(ctx context.Context, heads map[string]uint64) error {
	for {
		f.mu.Lock()
		behind, changed := "", f.changed
		for job, last := range f.last {
			if last < heads[job] {
				behind = fmt.Sprintf("%s at %d of %d", job, last, heads[job])
			}
		}
		f.mu.Unlock()
		if behind == "" {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("client %s has not caught up: %s: %w", f.name, behind, ctx.Err())
		}
	}
}
