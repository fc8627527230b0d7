package erasure

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/projections"
)

// clockSlack is by how much the clocks of those who back up and who erase may
// differ.
const clockSlack = time.Hour

// again marks the reason of an erasure that a restore has made necessary once more.
const again = " (again, after a restore)"

// Restored is a log that is about to be restored from a backup.
type Restored struct {
	// Epoch is the one that it will have, PreviousEpoch that of the backup.
	Epoch, PreviousEpoch string
	// Last is the last sequence in it.
	Last uint64
	// CreatedAt is when the backup was made.
	CreatedAt time.Time
	// Noted are the erasures in the manifest of the backup. Of each only the job, who
	// and why count.
	Noted []audit.Erasure
}

// Prepare notes, before the log is there, that those jobs are to go from it which
// were erased after the backup was made: going by the backup's own notes, and by the
// record. So no gateway shows what the restore brings back. [Eraser.FinishAll] removes
// it.
//
// It returns what it has noted behind what had begun before, in the log that goes or
// for a restore that was interrupted: once the log is there, that is to be finished too.
func (e *Eraser) Prepare(ctx context.Context, restored Restored, record []audit.Erasure) ([]audit.Erasure, error) {
	begun := unfinished(record)
	for _, erasure := range due(restored, record) {
		erasure.Of = cmp.Or(erasure.Of, erasure.ID)
		erasure.ID, erasure.Stage, erasure.At = rand.Text(), audit.StageBegun, time.Now().UTC()
		erasure.Removed, erasure.Backups = audit.Removed{}, nil
		erasure.Reason = strings.TrimSuffix(erasure.Reason, again) + again
		var err error
		if erasure.Number, err = e.cfg.Audit.Note(ctx, erasure); err != nil {
			return begun, err
		}
		begun = append(begun, erasure)
	}
	return begun, nil
}

// due returns, by job, what of a restored log is erased: all of the job that the
// backup has or, when it is of the epoch in which the job was erased, no more than was
// erased then.
//
// What earlier restores have noted counts for backups of the logs that they made, and
// stands there for all that was noted before. For any other backup the erasure counts
// that they were noted of: taken by itself, their note is of a foreign epoch, and would
// take all of the job, what is newer than its erasure too.
func due(restored Restored, record []audit.Erasure) []audit.Erasure {
	through := map[string]audit.Erasure{}
	take := func(erasure audit.Erasure) {
		sequence := restored.Last
		if erasure.Epoch == restored.PreviousEpoch {
			sequence = min(sequence, erasure.Through)
		}
		if known, found := through[erasure.JobID]; found && known.Through >= sequence {
			return
		}
		erasure.Epoch, erasure.Through = restored.Epoch, sequence
		through[erasure.JobID] = erasure
	}
	for _, erasure := range restored.Noted {
		take(erasure)
	}
	seen, done := map[string]bool{}, map[string]time.Time{}
	counting := map[string][]audit.Erasure{} // by job
	for _, erasure := range record {
		if erasure.Stage == audit.StageDone {
			done[erasure.ID] = erasure.At
		}
		if seen[erasure.ID] {
			continue // its place is where it began
		}
		seen[erasure.ID] = true
		switch {
		case erasure.Of == "":
			counting[erasure.JobID] = append(counting[erasure.JobID], erasure)
		case erasure.Epoch == restored.PreviousEpoch:
			counting[erasure.JobID] = []audit.Erasure{erasure}
		}
	}
	for _, erasures := range counting {
		for _, erasure := range erasures {
			// One that was done well before the backup was made took it all.
			if at, finished := done[erasure.ID]; !finished || restored.CreatedAt.Before(at.Add(clockSlack)) {
				take(erasure)
			}
		}
	}
	var all []audit.Erasure
	for _, erasure := range through {
		all = append(all, erasure)
	}
	slices.SortFunc(all, func(a, b audit.Erasure) int { return strings.Compare(a.JobID, b.JobID) })
	return all
}

// FinishAll is [Eraser.Finish] for several. Without MongoDB it leaves them noted as
// begun, and returns [ErrNoModels], when projections run on the log: they may have
// written documents already.
func (e *Eraser) FinishAll(ctx context.Context, begun []audit.Erasure) error {
	var done []audit.Erasure
	for _, erasure := range begun {
		removed, err := e.remove(ctx, erasure, nil)
		if err != nil {
			return err
		}
		done = append(done, removed)
	}
	if len(done) == 0 {
		return nil
	}
	if err := e.settle(ctx); err != nil {
		return err
	}
	if e.cfg.Models == nil { // last, for gateways start projecting once the log is back
		if err := e.unprojected(ctx); err != nil {
			return err
		}
	}
	for _, erasure := range done {
		if _, err := e.conclude(ctx, erasure); err != nil {
			return err
		}
	}
	return nil
}

// unprojected returns [ErrNoModels] if projections have run on the log.
func (e *Eraser) unprojected(ctx context.Context) error {
	for _, name := range projections.Names() {
		_, err := e.cfg.Log.ConsumerState(ctx, name)
		if err == nil {
			return ErrNoModels
		}
		if !errors.Is(err, eventstore.ErrNoConsumer) {
			return err
		}
	}
	return nil
}
