package erasure

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

var (
	// ErrNothing is returned by [Eraser.Erase] when nothing of the job is there, and
	// none was ever erased: as a rule its name is wrong.
	ErrNothing = errors.New("nothing matches: there is nothing of this job, and none of it was erased before")

	// ErrNoModels is returned when projections have run on the log and the eraser was
	// given none: their documents would stay. Nothing was changed.
	ErrNoModels = errors.New("projections have run on this log, and MongoDB is not configured here")

	// ErrBusy is returned when the projections did not come to rest in time. A repeat
	// finishes what has begun.
	ErrBusy = errors.New("the projections did not come to rest in time; repeat it")
)

// Log is the log, as an erasure needs it; eventstore.Log is one.
type Log interface {
	State(ctx context.Context) (messaging.Extent, error)
	LastSequence(ctx context.Context, jobID string) (uint64, error)
	CountJob(ctx context.Context, jobID string) (uint64, error)
	EraseJob(ctx context.Context, jobID string, through uint64, told func(erased uint64)) (uint64, error)
	PurgeJob(ctx context.Context, jobID string, through uint64, told func(purged uint64)) (uint64, error)
	ConsumerState(ctx context.Context, consumer string) (eventstore.ConsumerState, error)
	PauseConsumer(ctx context.Context, consumer string, until time.Time) error
	ResumeConsumer(ctx context.Context, consumer string) error
	DeadLetters(ctx context.Context, after uint64, limit int) ([]maintain.Letter, error)
	EraseDeadLetter(ctx context.Context, sequence uint64) error
	RemoveDeadLetters(ctx context.Context, sequences []uint64) error
}

// Audit is the record of erasures; audit.Trail is one.
type Audit interface {
	Note(ctx context.Context, erasure audit.Erasure) (uint64, error)
	Of(ctx context.Context, jobID string) ([]audit.Erasure, error)
}

// Models are the read models; projections.Store has them.
type Models interface {
	CountJob(ctx context.Context, jobID string, through messaging.Position) (projections.JobDocuments, error)
	// EraseJob calls told with the number of documents that are gone.
	EraseJob(ctx context.Context, jobID string, through messaging.Position, told func(removed uint64)) (projections.JobDocuments, error)
}

// Manifests are the notes on backups. Noting what is noted already is no error.
type Manifests interface {
	// Noted reports whether the folder's manifest has a note on the job.
	Noted(dir, jobID string) (bool, error)
	Note(dir string, erasure audit.Erasure) error
}

// DefaultOverwriteAtMost is a [Config.OverwriteAtMost] that takes a minute at most where
// the log is on a disk that writes 100 MB/s: for each record, the server writes its block
// of 4 or 8 MiB again.
const DefaultOverwriteAtMost = 1000

// Config is what an [Eraser] works with.
type Config struct {
	Log   Log
	Audit Audit
	// Models is nil without MongoDB.
	Models    Models
	Manifests Manifests
	// Settle is for how long a gateway that is cut off may go by what it knew.
	Settle time.Duration
	// OverwriteAtMost is up to how many events, and up to how many dead letters, of a
	// job are overwritten on disk, unless the request says that all are. More are purged.
	OverwriteAtMost uint64
	// Report is told how it goes; nil tells nobody.
	Report func(step string, done, total uint64)
}

// Eraser erases jobs. Two may work on one job; both come to the same end.
type Eraser struct{ cfg Config }

// New returns an eraser.
func New(cfg Config) *Eraser {
	if cfg.Report == nil {
		cfg.Report = func(string, uint64, uint64) {}
	}
	return &Eraser{cfg: cfg}
}

// Request says what to erase, who asks and why, and which backups have to know.
type Request struct {
	JobID, By, Reason string
	Backups           []string
	// Overwrite says that each event and dead letter is overwritten on disk, however
	// many there are.
	Overwrite bool
}

// Result is what was erased or, in a dry run, would be.
type Result struct {
	JobID string `json:"jobId"`
	// Done are the erasures that this call finished, one that was interrupted before
	// first; none when nothing was left.
	Done []audit.Erasure `json:"done"`
	// Found is what there is: in a dry run only.
	Found *audit.Removed `json:"found,omitempty"`
	// Purge says, in a dry run, that there is too much to overwrite it on disk.
	Purge bool `json:"purge,omitempty"`
	// Interrupted says, in a dry run, that an erasure of the job waits to be finished.
	Interrupted bool `json:"interrupted,omitempty"`
	// Before is when the job was last erased, if it was and nothing was left.
	Before *audit.Erasure `json:"before,omitempty"`
	// Aggregates counts the workers' own documents in novel_jobs, which stay.
	Aggregates uint64 `json:"workersDocuments"`
	// Mentions are dead letters that cannot be read and hold the job's name: for
	// somebody to look at.
	Mentions []uint64 `json:"mentionedIn,omitempty"`
	// Rebuilding says that a shadow of a read model is there. If a rebuild runs now,
	// the erasure is to be repeated after it.
	Rebuilding bool `json:"rebuilding"`
}

// found is what there is of a job, up to where.
type found struct {
	through    messaging.Position
	removed    audit.Removed
	aggregates uint64
	mentions   []uint64
	rebuilding bool
	notes      []string // backups without a note
}

func (f found) any() bool { return f.removed.Any() || len(f.notes) > 0 }

// Plan returns what [Eraser.Erase] would remove, and changes nothing.
func (e *Eraser) Plan(ctx context.Context, request Request) (Result, error) {
	there, notes, err := e.look(ctx, request)
	result := e.result(request, there)
	result.Found, result.Purge = &there.removed, e.purges(request, there.removed)
	if err != nil {
		return result, err
	}
	if len(unfinished(notes)) > 0 {
		result.Interrupted = true
		return result, nil
	}
	return result, e.judge(&result, there, notes)
}

func (e *Eraser) result(request Request, there found) Result {
	return Result{
		JobID: request.JobID, Done: []audit.Erasure{}, Aggregates: there.aggregates,
		Mentions: there.mentions, Rebuilding: there.rebuilding,
	}
}

// judge says what it means that there is nothing.
func (e *Eraser) judge(result *Result, there found, notes []audit.Erasure) error {
	switch {
	case there.any():
		return nil
	case len(notes) == 0:
		return ErrNothing
	}
	result.Before = &notes[len(notes)-1]
	return nil
}

// Erase removes what there is of a job. First it finishes what an interrupted call
// has begun. It returns [ErrNothing] when there is, and was, nothing.
func (e *Eraser) Erase(ctx context.Context, request Request) (Result, error) {
	there, notes, err := e.look(ctx, request)
	if err != nil {
		return Result{JobID: request.JobID, Done: []audit.Erasure{}}, err
	}
	var done []audit.Erasure
	for _, begun := range unfinished(notes) {
		finished, err := e.Finish(ctx, begun, nil)
		if err != nil {
			return Result{JobID: request.JobID, Done: []audit.Erasure{}}, err
		}
		done = append(done, finished)
	}
	if len(done) > 0 {
		if there, notes, err = e.look(ctx, request); err != nil {
			return Result{JobID: request.JobID, Done: done}, err
		}
	}
	result := e.result(request, there)
	result.Done = append(result.Done, done...)
	if !there.any() {
		if len(done) > 0 {
			return result, nil
		}
		return result, e.judge(&result, there, notes)
	}
	begun := audit.Erasure{
		ID: rand.Text(), Stage: audit.StageBegun, At: time.Now().UTC(),
		JobID: request.JobID, By: request.By, Reason: request.Reason,
		Epoch: there.through.Epoch, Through: there.through.Sequence, Removed: there.removed,
		Purged: e.purges(request, there.removed),
	}
	if begun.Number, err = e.cfg.Audit.Note(ctx, begun); err != nil {
		return result, err
	}
	finished, err := e.Finish(ctx, begun, request.Backups)
	if err == nil {
		result.Done = append(result.Done, finished)
	}
	return result, err
}

// purges reports whether what was found is removed without overwriting it on disk.
func (e *Eraser) purges(request Request, found audit.Removed) bool {
	return !request.Overwrite && max(found.Events, found.Letters) > e.cfg.OverwriteAtMost
}

// look finds what there is of the job, and what was noted about it.
func (e *Eraser) look(ctx context.Context, request Request) (found, []audit.Erasure, error) {
	there := found{}
	if err := eventstore.ValidateJobID(request.JobID); err != nil {
		return there, nil, err
	}
	notes, err := e.cfg.Audit.Of(ctx, request.JobID)
	if err != nil {
		return there, nil, err
	}
	state, err := e.cfg.Log.State(ctx)
	if err != nil {
		return there, nil, err
	}
	// Up to the end of the log, which is where a job that is in MongoDB alone ends too.
	there.through = messaging.Position{Epoch: state.Epoch, Sequence: state.Last}
	if there.removed.Events, err = e.cfg.Log.CountJob(ctx, request.JobID); err != nil {
		return there, nil, err
	}
	letters, mentions, err := e.letters(ctx, request.JobID)
	if err != nil {
		return there, nil, err
	}
	there.removed.Letters, there.mentions = uint64(len(letters)), mentions
	if err := e.lookAtModels(ctx, request.JobID, &there); err != nil {
		return there, nil, err
	}
	for _, dir := range request.Backups {
		noted, err := e.cfg.Manifests.Noted(dir, request.JobID)
		if err != nil {
			return there, nil, err
		}
		if !noted {
			there.notes = append(there.notes, dir)
		}
	}
	return there, notes, nil
}

func (e *Eraser) lookAtModels(ctx context.Context, jobID string, there *found) error {
	if e.cfg.Models == nil {
		return e.unprojected(ctx)
	}
	documents, err := e.cfg.Models.CountJob(ctx, jobID, there.through)
	there.removed.Documents, there.removed.Heads = documents.Events, documents.Heads
	there.aggregates, there.rebuilding = documents.Aggregates, documents.Rebuilding
	return err
}

// Unfinished returns the jobs whose erasure has begun and is not done.
func Unfinished(notes []audit.Erasure) []string {
	var jobs []string
	for _, begun := range unfinished(notes) {
		if !slices.Contains(jobs, begun.JobID) {
			jobs = append(jobs, begun.JobID)
		}
	}
	return jobs
}

// unfinished returns the erasures that have begun and are not done.
func unfinished(notes []audit.Erasure) []audit.Erasure {
	var open []audit.Erasure
	for _, note := range notes {
		open = slices.DeleteFunc(open, func(begun audit.Erasure) bool { return begun.ID == note.ID })
		if note.Stage == audit.StageBegun {
			open = append(open, note)
		}
	}
	return open
}
