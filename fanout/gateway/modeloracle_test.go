package gateway_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// oracle keeps every record that the model's log ever stored, and says what is due
// to a subscription. It belongs to the goroutine of the test.
type oracle struct {
	log *memoryLog
	// epochs are the lives of the log, in order.
	epochs []string
	// jobs are the records of each job, through all lives; their ids count.
	jobs map[string][]messaging.Record
	all  []messaging.Record // by id
	// purged are those of which no trace is left: their job was purged, and the log
	// around them was not.
	purged map[string]bool
	// missed are those whose live record did not come to a stage.
	missed map[*stage]map[string]bool
	// settled is how many records of each job every gateway knew of when all was
	// quiet last.
	settled map[string]known
	// gaps counts those that clients were told of, by reason.
	gaps map[string]int
}

// known is a number of records of a job in one life of the log.
type known struct {
	epoch string
	count int
}

func newOracle(log *memoryLog) *oracle {
	return &oracle{
		log: log, epochs: []string{log.epoch}, jobs: make(map[string][]messaging.Record),
		purged: make(map[string]bool), missed: make(map[*stage]map[string]bool), settled: make(map[string]known),
	}
}

// publish stores one event of a job.
func (o *oracle) publish(jobID string) {
	r := record(jobID, 100)
	r.ID = strconv.Itoa(len(o.all))
	o.log.append(r)
	r.Position = messaging.Position{Epoch: o.log.epoch, Sequence: o.log.last}
	o.keep(r)
}

func (o *oracle) keep(r messaging.Record) {
	o.all = append(o.all, r)
	o.jobs[r.JobID] = append(o.jobs[r.JobID], r)
}

// miss notes that a stage does not hear of a record.
func (o *oracle) miss(s *stage, r messaging.Record) {
	if o.missed[s] == nil {
		o.missed[s] = make(map[string]bool)
	}
	o.missed[s][r.ID] = true
}

// purge removes all records of a job.
func (o *oracle) purge(jobID string) {
	o.remove(func(l *memoryLog) {
		for _, r := range l.jobs[jobID] {
			o.purged[r.ID] = true
		}
		l.purge(jobID)
	})
}

// remove takes records out of the log that were projected before, and not just
// now: retention that overtakes the projection is no matter of fan-out, and it
// remembers for a moment how far the projection is.
func (o *oracle) remove(from func(*memoryLog)) {
	o.log.set((*memoryLog).project)
	time.Sleep(300 * time.Millisecond)
	o.log.set(from)
}

// restore begins a new life of the log, with what it had up to a sequence. The
// restored records have other ids than their originals, so that a test knows which
// of the two came.
func (o *oracle) restore(last uint64) {
	var restored []messaging.Record
	o.log.set(func(l *memoryLog) {
		for _, records := range l.jobs {
			restored = append(restored, preceding(records, last+1, len(records))...)
		}
		slices.SortFunc(restored, func(a, b messaging.Record) int { return int(a.Sequence) - int(b.Sequence) })
		l.renew()
		l.first, l.last = last+1, last
		for i := range restored {
			r := &restored[i]
			l.first = min(l.first, r.Sequence)
			r.Epoch, r.ID = l.epoch, strconv.Itoa(len(o.all)+i)
			l.jobs[r.JobID] = append(l.jobs[r.JobID], *r)
			l.unprojected = append(l.unprojected, *r)
		}
		if !l.lags {
			l.project()
		}
	})
	o.epochs = append(o.epochs, o.log.epoch)
	for _, r := range restored {
		o.keep(r)
	}
}

// record returns the record of a delivered event.
func (o *oracle) record(m message) messaging.Record {
	n, err := strconv.Atoi(m.ID)
	if err != nil || n >= len(o.all) {
		panic(fmt.Sprintf("nobody published %s", m.Raw))
	}
	return o.all[n]
}

// life returns the records of a job in one life of the log.
func (o *oracle) life(jobID, epoch string) []messaging.Record {
	var found []messaging.Record
	for _, r := range o.jobs[jobID] {
		if r.Epoch == epoch {
			found = append(found, r)
		}
	}
	return found
}

// settle notes that every gateway knows of everything.
func (o *oracle) settle() {
	for jobID := range o.jobs {
		o.settled[jobID] = known{epoch: o.log.epoch, count: len(o.life(jobID, o.log.epoch))}
	}
}

// removed reports whether the log no longer has a record.
func (o *oracle) removed(r messaging.Record) bool {
	return r.Epoch != o.log.epoch || !slices.Contains(o.log.sequences(r.JobID, r.Sequence-1), r.Sequence)
}

// unheard reports whether a record was removed before the stage heard of it.
func (o *oracle) unheard(s *stage, r messaging.Record) bool {
	return o.missed[s][r.ID] && o.removed(r)
}

// due returns the first record between two sequences that a client of the stage
// must not go without, unless it is told of a gap. Nobody can tell it of what was
// purged alone, or removed before the stage heard of it.
func (o *oracle) due(s *stage, jobID, epoch string, after, before uint64) (missing messaging.Record, found bool) {
	for _, r := range o.life(jobID, epoch) {
		if r.Sequence > after && r.Sequence < before && !o.purged[r.ID] && !o.unheard(s, r) {
			return r, true
		}
	}
	return messaging.Record{}, false
}

// judgement is how far the deliveries of one subscription have been judged.
type judgement struct {
	*oracle
	jobID string
	run   *run
	// epoch is the life that the client is in, empty when only what comes next will
	// tell, and then since is the earliest life that it can be.
	epoch string
	since int
	// fresh says that the newest events are due, and not what follows sequence.
	fresh    bool
	sequence uint64
}

// judge checks that what came to a subscription is a run of the log's records
// without a gap or a repeat, from where it had to begin, but for the gaps that it
// was told of, and that these are true. When all is quiet, it has to reach the
// log's end.
func (o *oracle) judge(jobID string, r *run, quiet bool) error {
	j := &judgement{oracle: o, jobID: jobID, run: r, fresh: r.from == nil}
	if r.from != nil {
		j.epoch, j.sequence = r.from.Epoch, r.from.Sequence
	}
	for i, m := range r.got {
		if m.Name == messaging.EventGap && quiet {
			o.gaps[m.Reason]++
		}
		step := j.event
		if m.Name == messaging.EventGap {
			step = j.gap
		}
		if err := step(m); err != nil {
			return fmt.Errorf("delivery %d of %d, %s, in %q after %d: %w", i, len(r.got), m.Raw, j.epoch, j.sequence, err)
		}
	}
	if !quiet {
		return nil
	}
	if j.epoch == "" {
		for _, r := range o.life(jobID, o.log.epoch) {
			if r.Sequence > j.sequence && !o.removed(r) {
				return fmt.Errorf("nothing came, and the log has sequence %d", r.Sequence)
			}
		}
		return nil
	}
	if j.epoch != o.log.epoch {
		return fmt.Errorf("it was not told that the log is no longer in %q but in %q", j.epoch, o.log.epoch)
	}
	if r, found := o.due(r.stage, jobID, j.epoch, j.sequence, o.log.last+1); found {
		return fmt.Errorf("after %d, sequence %d did not come", j.sequence, r.Sequence)
	}
	return nil
}

// event takes a delivered event.
func (j *judgement) event(m message) error {
	r := j.record(m)
	if r.JobID != j.jobID || r.Sequence != m.Sequence {
		return errors.New("it is another event")
	}
	if j.epoch == "" && slices.Index(j.epochs, r.Epoch) < j.since || j.epoch != "" && j.epoch != r.Epoch {
		return fmt.Errorf("it is of the life %q", r.Epoch)
	}
	j.epoch = r.Epoch
	if j.fresh {
		j.fresh, j.sequence = false, r.Sequence
		return j.begins(r)
	}
	if r.Sequence <= j.sequence {
		return errors.New("it came before")
	}
	if missing, found := j.due(j.run.stage, j.jobID, j.epoch, j.sequence, r.Sequence); found {
		return fmt.Errorf("sequence %d should have come first", missing.Sequence)
	}
	j.sequence = r.Sequence
	return nil
}

// begins checks the first event of a subscription that is due the newest: so many
// of some moment since every gateway knew of what there was. What was removed before the
// stage heard of it does not count: the stage takes older ones for the newest.
func (j *judgement) begins(first messaging.Record) error {
	all := j.life(j.jobID, first.Epoch)
	from := slices.IndexFunc(all, func(r messaging.Record) bool { return r.ID == first.ID })
	if j.run.from == nil && j.run.known.epoch == first.Epoch && from < j.run.known.count {
		known := slices.DeleteFunc(slices.Clone(all[from:j.run.known.count]), func(r messaging.Record) bool { return j.unheard(j.run.stage, r) })
		if len(known) > modelLimit {
			return fmt.Errorf("it begins at event %d of %d, with %d when it was asked for", from, len(all), j.run.known.count)
		}
	}
	for i := max(0, len(all)-modelLimit); i < from; i++ {
		if !j.removed(all[i]) {
			return fmt.Errorf("it begins at event %d of %d, and %d is there", from, len(all), i)
		}
	}
	return nil
}

// gap takes what a client was told of what is gone.
func (j *judgement) gap(m message) error {
	if j.epoch != "" {
		if m.Requested < j.sequence {
			return errors.New("the client has more than that")
		}
		if missing, found := j.due(j.run.stage, j.jobID, j.epoch, j.sequence, m.Requested+1); found {
			return fmt.Errorf("sequence %d should have come first", missing.Sequence)
		}
	}
	if m.Reason == string(messaging.GapEpoch) {
		j.since++
		if j.epoch != "" {
			j.since = slices.Index(j.epochs, j.epoch) + 1
		}
		if j.since >= len(j.epochs) {
			return errors.New("there is no later life")
		}
		j.epoch, j.sequence, j.fresh = "", 0, true
		return nil
	}
	if m.FirstAvailable <= m.Requested+1 {
		return errors.New("nothing is between")
	}
	for _, r := range j.life(j.jobID, j.epoch) {
		if r.Sequence > m.Requested && r.Sequence < m.FirstAvailable && !j.removed(r) {
			return fmt.Errorf("the log has sequence %d", r.Sequence)
		}
	}
	j.sequence, j.fresh = m.FirstAvailable-1, false
	return nil
}
