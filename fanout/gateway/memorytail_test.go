package gateway_test

import (
	"context"
	"sync"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// memoryTail is the live side of a memoryLog for one hub. As the real one does,
// it calls the hub for one job from one goroutine, in order, and for several
// jobs at once.
type memoryTail struct {
	log *memoryLog

	// The fields below are guarded by the log's lock.
	hub       *hub.Hub
	followed  map[string]*followedJob
	held      chan struct{}                    // when set, records wait until it is closed
	drop      func(record messaging.Live) bool // when set, says which records are lost
	followErr error
	follows   int

	serving sync.WaitGroup
}

// followedJob is the queue of one job. It has no bound: a test is short.
type followedJob struct {
	queue []messaging.Live // guarded by the log's lock
	wake  chan struct{}    // signalled when there is more in queue
	left  chan struct{}
}

func newMemoryTail(log *memoryLog) *memoryTail {
	tail := &memoryTail{log: log, followed: make(map[string]*followedJob)}
	log.set(func(l *memoryLog) { l.tails = append(l.tails, tail) })
	return tail
}

// Follow implements fanout.Tail.
func (t *memoryTail) Follow(_ context.Context, jobID string) error {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.follows++
	if t.followErr != nil {
		return t.followErr
	}
	if t.followed[jobID] == nil {
		job := &followedJob{wake: make(chan struct{}, 1), left: make(chan struct{})}
		t.followed[jobID] = job
		t.serving.Go(func() { t.serve(job) }) // stopped by Unfollow and stop
	}
	return nil
}

// Unfollow implements fanout.Tail.
func (t *memoryTail) Unfollow(jobID string) {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	if job := t.followed[jobID]; job != nil {
		close(job.left)
		delete(t.followed, jobID)
	}
}

// stop unfollows every job and waits for the goroutines.
func (t *memoryTail) stop() {
	t.log.mu.Lock()
	for jobID, job := range t.followed {
		close(job.left)
		delete(t.followed, jobID)
	}
	if t.held != nil {
		close(t.held)
		t.held = nil
	}
	t.log.mu.Unlock()
	t.serving.Wait()
}

// hear takes a record that was stored. The log's lock is held.
func (t *memoryTail) hear(live messaging.Live) {
	job := t.followed[live.JobID]
	if job == nil || t.drop != nil && t.drop(live) {
		return
	}
	job.queue = append(job.queue, live)
	select {
	case job.wake <- struct{}{}:
	default:
	}
}

// hold makes records wait until release is called.
func (t *memoryTail) hold() (release func()) {
	held := make(chan struct{})
	t.log.set(func(*memoryLog) { t.held = held })
	return func() {
		t.log.set(func(*memoryLog) {
			if t.held == held {
				t.held = nil
				close(held)
			}
		})
	}
}

// lose sets which records are lost; nil loses none.
func (t *memoryTail) lose(drop func(messaging.Live) bool) {
	t.log.set(func(*memoryLog) { t.drop = drop })
}

// isFollowing reports whether the job is followed.
func (t *memoryTail) isFollowing(jobID string) bool {
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return t.followed[jobID] != nil
}

func (t *memoryTail) serve(job *followedJob) {
	for {
		select {
		case <-job.wake:
		case <-job.left:
			return
		}
		for {
			t.log.mu.Lock()
			batch, held, hub := job.queue, t.held, t.hub
			if held == nil {
				job.queue = nil
			}
			t.log.mu.Unlock()
			if held != nil {
				<-held // stop releases it, too
				continue
			}
			if len(batch) == 0 {
				break
			}
			for _, live := range batch {
				hub.Live(live)
			}
		}
	}
}
