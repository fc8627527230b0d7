package recorder

import (
	"slices"
	"time"
)

// Stage is a stage that an event passes.
type Stage string

// QuestionNotes is the kind of the question for the notes that a [Query] selects.
const QuestionNotes = "recorder.notes"

const (
	// MaxNotes bounds the notes that one process returns.
	MaxNotes = 500
	// maxTook bounds TookSeconds.
	maxTook = 2000
)

// The stages, in their order.
const (
	// StageReceived: the event has arrived at the process, from Redis or over HTTP. It has no
	// sequence yet: it is found by its id.
	StageReceived Stage = "received"
	// StageRefused: the event is a dead letter, for the reason in Detail.
	StageRefused Stage = "refused"
	// StageLogging: the process has begun to store the event in the log.
	StageLogging Stage = "logging"
	// StageLogged: the log has stored the event, or had it already.
	StageLogged Stage = "logged"
	// StageDelivered: the process has offered the event to the clients that follow its job
	// live.
	StageDelivered Stage = "delivered"
	// StageRepaired: the process has missed the event live, and has read it from the log for
	// the clients that follow its job.
	StageRepaired Stage = "repaired"
	// StageProjected: the projection in Detail has written the event to MongoDB.
	StageProjected Stage = "projected"
)

// Note says that an event has passed a stage.
type Note struct {
	At    time.Time `json:"at"`
	Stage Stage     `json:"stage"`
	JobID string    `json:"jobId"`
	// ID is the producer's, empty where the stage does not have it.
	ID string `json:"id,omitempty"`
	// Sequence is the event's in the log, 0 before it has one.
	Sequence uint64 `json:"sequence,omitempty"`
	// Epoch is that of the sequence; empty without one, and where the stage does not have it.
	Epoch string `json:"epoch,omitempty"`
	// Detail is a constant text: redis or http for an event that was received, the reason of a
	// refusal, the name of a projection.
	Detail string `json:"detail,omitempty"`
	// TookSeconds is how long MongoDB took to write the batch with the event.
	TookSeconds float64 `json:"tookSeconds,omitempty"`
	// Receivers counts the clients that a delivery reached live, and FellBack those whose
	// queues were full, and which continue by reading.
	Receivers int `json:"receivers,omitempty"`
	FellBack  int `json:"fellBack,omitempty"`
	// Duplicate says that the log had the event already.
	Duplicate bool `json:"duplicate,omitempty"`
}

// Query selects notes. A zero field selects every note.
type Query struct {
	JobID    string `json:"jobId,omitempty"`
	ID       string `json:"id,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
	// Epoch leaves out the notes that have another epoch.
	Epoch string `json:"epoch,omitempty"`
	// Limit bounds the notes, at most MaxNotes; the newest ones are returned.
	Limit int `json:"limit"`
}

func (q Query) selects(n *note) bool {
	switch {
	case q.JobID != "" && n.job != q.JobID:
		return false
	case q.Epoch != "" && n.epoch != "" && n.epoch != q.Epoch:
		return false
	case q.Sequence > 0 && q.ID != "": // a stage has one of them, or both
		return n.sequence == q.Sequence || n.id == q.ID
	case q.Sequence > 0:
		return n.sequence == q.Sequence
	case q.ID != "":
		return n.id == q.ID
	}
	return true
}

// Note notes that an event has passed a stage; a zero At is now.
func (r *Recorder) Note(n Note) {
	if r == nil {
		return
	}
	if n.At.IsZero() {
		n.At = time.Now()
	}
	r.events.add(note{
		epoch: r.epoch(n.Epoch), detail: n.Detail, took: int32(min(max(n.TookSeconds, 0), maxTook) * 1e6),
		at: n.At.UnixNano(), stage: n.Stage, job: n.JobID, id: n.ID, duplicate: n.Duplicate, sequence: n.Sequence,
		receivers: int32(min(n.Receivers, 1<<30)), fellBack: int32(min(n.FellBack, 1<<30)),
	})
}

// Delivered notes that an event was offered to the clients that follow its job live: as many
// as receivers took it, and fellBack others could not.
func (r *Recorder) Delivered(jobID, epoch string, sequence uint64, receivers, fellBack int) {
	r.Note(Note{Stage: StageDelivered, JobID: jobID, Epoch: epoch, Sequence: sequence, Receivers: receivers, FellBack: fellBack})
}

// Repaired notes that an event which was missed live was read from the log.
func (r *Recorder) Repaired(jobID, epoch string, sequence uint64) {
	r.Note(Note{Stage: StageRepaired, JobID: jobID, Epoch: epoch, Sequence: sequence})
}

// Find returns the newest notes that a query selects, oldest first, and whether there are
// more. It reads every note at most once. Notes can be added meanwhile, which it leaves out.
func (r *Recorder) Find(query Query) (found []Note, more bool) {
	found = []Note{}
	if r == nil {
		return found, false
	}
	query.Limit = min(max(query.Limit, 1), MaxNotes)
	r.events.scan(func(n *note) bool {
		if !query.selects(n) {
			return true
		}
		if more = len(found) == query.Limit; more {
			return false
		}
		found = append(found, Note{
			At: time.Unix(0, n.at).UTC(), Stage: n.stage, JobID: n.job, ID: n.id, Sequence: n.sequence, Epoch: n.epoch,
			Detail: n.detail, TookSeconds: float64(n.took) / 1e6,
			Receivers: int(n.receivers), FellBack: int(n.fellBack), Duplicate: n.duplicate,
		})
		return true
	})
	slices.Reverse(found)
	return found, more
}
