package recorder

import (
	"slices"
	"sync"
	"time"
	"unsafe"
)

// The kinds of steps that are no message of the contract. The other steps have the name of
// the message as their kind.
const (
	// StepSent: events of a job were put into the client's queue.
	StepSent = "sent"
	// StepFull: an event was refused by the client's queue, which is full; the client
	// continues by reading.
	StepFull = "full"
)

// Step is something that a client sent or was sent.
type Step struct {
	// At is when it happened, and Until when the last of several equal steps did.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	Kind  string    `json:"kind"`
	JobID string    `json:"jobId,omitempty"`
	// Epoch is that of the sequences.
	Epoch string `json:"epoch,omitempty"`
	// First and Last are the sequences of events, and Count the number of events or of equal
	// steps.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	Count int    `json:"count"`
	// Detail is the code of a refusal, or the reason of an end.
	Detail string `json:"detail,omitempty"`
}

// The bounds of a trail.
const (
	// maxSteps bounds the steps of a trail.
	maxSteps = 32
	// together is how far apart equal steps may be to count as one.
	together = 10 * time.Second
	// firstSteps is how many steps a trail has room for at first: those of a client that has
	// subscribed to a job and caught up.
	firstSteps = 2
	// stepBytes is what a step takes beside the texts of its job and epoch.
	stepBytes = int(unsafe.Sizeof(step{}))
	// trailBytes is what a trail takes beside its steps and texts: itself, and its places in
	// the recorder's map and list.
	trailBytes = int(unsafe.Sizeof(Trail{})) + 8*int(unsafe.Sizeof(uintptr(0)))
)

// step is a Step as it is kept: times in nanoseconds, which take less room.
type step struct {
	at, until   int64
	kind, job   string
	epoch       string
	detail      string
	first, last uint64
	count       int
}

func (s *step) textBytes() int { return len(s.job) + len(s.epoch) }

// Trail is the last steps of one client. Its methods may be called concurrently.
type Trail struct {
	recorder *Recorder
	id       string

	bytes int // what the trail takes, 0 once it is no longer kept; guarded by recorder.mu

	mu sync.Mutex // guards everything below; recorder.mu is taken while it is held, never the reverse
	// steps is a ring: the oldest step is at head. While it grows, head is 0.
	steps   []step
	head    int
	dropped int
	// ended is set once, before the recorder keeps the trail as one that has ended. The recorder
	// reads it of the trails that it keeps so, with recorder.mu only.
	ended  time.Time
	reason string
	about  any
}

// Sent notes that an event was queued.
func (t *Trail) Sent(jobID, epoch string, sequence uint64) {
	if t == nil {
		return
	}
	t.add(step{kind: StepSent, job: jobID, epoch: epoch, first: sequence, last: sequence})
}

// Full notes that the queue has refused an event.
func (t *Trail) Full(jobID, epoch string, sequence uint64) {
	if t == nil {
		return
	}
	t.add(step{kind: StepFull, job: jobID, epoch: epoch, first: sequence, last: sequence})
}

// Note notes a message, by its name. detail is a constant text, such as a code.
func (t *Trail) Note(kind, jobID, detail string) {
	if t == nil {
		return
	}
	t.add(step{kind: kind, job: jobID, detail: detail})
}

// Range notes a message about the events of a job from one sequence to another.
func (t *Trail) Range(kind, jobID, epoch, detail string, first, last uint64) {
	if t == nil {
		return
	}
	t.add(step{kind: kind, job: jobID, epoch: epoch, detail: detail, first: first, last: last})
}

func (t *Trail) add(next step) {
	now := time.Now().UnixNano()
	next.at, next.until, next.count = now, now, 1
	next.epoch = t.recorder.epoch(next.epoch)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended.IsZero() {
		return
	}
	if len(t.steps) > 0 {
		last := &t.steps[(t.head+len(t.steps)-1)%len(t.steps)]
		if last.kind == next.kind && last.job == next.job && last.epoch == next.epoch && last.detail == next.detail && now-last.at < int64(together) &&
			(next.first > last.last || next.first == 0 && last.first == 0) {
			last.until, last.last = now, next.last
			last.count++
			return
		}
	}
	if len(t.steps) < maxSteps && t.grow(next.textBytes()) {
		t.steps = append(t.steps, next)
		return
	}
	t.dropped++
	if len(t.steps) == 0 {
		return
	}
	oldest := &t.steps[t.head]
	if more := next.textBytes() - oldest.textBytes(); more != 0 && !t.recorder.reserve(t, more) {
		return
	}
	*oldest = next
	t.head = (t.head + 1) % len(t.steps)
}

// grow makes room for one step more with a text, and reports whether there is memory for it.
// The mutex is held.
func (t *Trail) grow(textBytes int) bool {
	if len(t.steps) < cap(t.steps) && t.head == 0 {
		return t.recorder.reserve(t, textBytes)
	}
	slots := cap(t.steps)
	if len(t.steps) == slots {
		slots = min(max(2*slots, firstSteps), maxSteps)
	}
	if !t.recorder.reserve(t, textBytes+(slots-cap(t.steps))*stepBytes) {
		return false
	}
	t.reorder(slots)
	return true
}

// reorder copies the steps to new slots, the oldest first. The mutex is held.
func (t *Trail) reorder(slots int) {
	t.steps = append(append(make([]step, 0, slots), t.steps[t.head:]...), t.steps[:t.head]...)
	t.head = 0
}

// forget removes the steps that name one of the jobs.
func (t *Trail) forget(jobs map[string]bool) {
	named := func(s step) bool { return jobs[s.job] }
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.ContainsFunc(t.steps, named) {
		return
	}
	t.reorder(cap(t.steps))
	texts := 0
	t.steps = slices.DeleteFunc(t.steps, func(s step) bool {
		if named(s) {
			texts += s.textBytes()
			return true
		}
		return false
	})
	t.recorder.reserve(t, -texts)
}

// End ends the trail, which the recorder keeps for a while, with a description of the client
// that takes some bytes. Further calls do nothing.
func (t *Trail) End(reason string, about any, bytes int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	again := !t.ended.IsZero()
	if !again {
		t.ended, t.reason, t.about = time.Now(), reason, about
	}
	t.mu.Unlock()
	if !again {
		t.recorder.keep(t, bytes)
	}
}

// Ended returns when the trail ended, zero if it has not, why, and the description of the
// client.
func (t *Trail) Ended() (at time.Time, reason string, about any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended, t.reason, t.about
}

// Steps returns the steps, oldest first, and how many before them are no longer kept.
func (t *Trail) Steps() (steps []Step, dropped int) {
	if t == nil {
		return []Step{}, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	steps = make([]Step, 0, len(t.steps))
	for i := range t.steps {
		s := t.steps[(t.head+i)%len(t.steps)]
		steps = append(steps, Step{
			At: time.Unix(0, s.at).UTC(), Until: time.Unix(0, s.until).UTC(), Kind: s.kind, JobID: s.job, Epoch: s.epoch,
			First: s.first, Last: s.last, Count: s.count, Detail: s.detail,
		})
	}
	return steps, t.dropped
}
