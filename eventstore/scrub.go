package eventstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/contain"
	"github.com/letswriteabook/realtime/internal/wait"
)

const (
	scrubSubject = layout.IdentityPrefix + "scrub"
	// scrubInterval is the time from the end of one pass to the beginning of the next,
	// and damagedInterval is that time after a pass that found damage, so that the
	// metric and the doctor soon show a repair. scrubPoll is how often each process looks
	// whether a pass is due.
	scrubInterval   = 24 * time.Hour
	damagedInterval = time.Hour
	scrubPoll       = time.Minute
	// scrubRecords and scrubBytes bound what a pass reads in a second, and scrubBusy
	// divides both while more than scrubIdle records are stored in a second.
	scrubRecords = 2000
	scrubBytes   = 4 << 20
	scrubBusy    = 8
	scrubIdle    = 100
	// scrubLease is how long the others wait for a process that has died during a pass;
	// scrubRenewal is how often it is renewed.
	scrubLease   = time.Minute
	scrubRenewal = 10 * time.Second
)

// ScrubLate is the age of the last complete pass at which the scrub is too late: a pass is
// due every day, and takes a few hours for a large log.
const ScrubLate = 3 * scrubInterval

// errEpochBegan ends a pass: what it has read is of another log.
var errEpochBegan = errors.New("a new epoch began")

// Scrubbed is the record of the scrub, kept beside the log.
type Scrubbed struct {
	// Epoch and At say of which log the last complete pass was, and when it ended.
	Epoch string    `json:"epoch,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Sum is what that pass found, of a replicated log in the copy that lacks most;
	// Server is who has that copy.
	Sum    archive.Sum `json:"sum,omitzero"`
	Server string      `json:"server,omitempty"`
	// Holder makes a pass now, and Until is when its lease ends.
	Holder string    `json:"holder,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// scrubber is the scrub as one process has it.
type scrubber struct {
	*Log
	id string
	// atOnce says that a pass is due whenever the last one was.
	atOnce bool
	// renewal is how often the lease of a pass is renewed.
	renewal time.Duration
	// reported is the record whose finding was last logged.
	reported time.Time
}

// due reports whether another pass has to be made of the log in its epoch.
func (s Scrubbed) due(epoch string, now time.Time) bool {
	interval := scrubInterval
	if s.Sum.Lacks() > 0 {
		interval = damagedInterval
	}
	return s.Epoch != epoch || now.Sub(s.At) >= interval
}

// Scrub reads every record of the log once a day, and once an hour after damage, slowly, so that damage on disk is found
// before somebody needs the record, until ctx ends. One process does it at a time; all
// show what it found. With atOnce it begins with a pass, as the owner of the disk does
// after its start. Damage is logged and shown in a metric, once for each pass.
func (l *Log) Scrub(ctx context.Context, atOnce bool) error {
	return l.scrub(ctx, atOnce, scrubRenewal)
}

func (l *Log) scrub(ctx context.Context, atOnce bool, renewal time.Duration) error {
	s := &scrubber{Log: l, id: rand.Text(), atOnce: atOnce, renewal: renewal}
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			l.logger.Debug("the log was not scrubbed", "error", err)
		}
		if wait.For(ctx, scrubPoll) != nil {
			return nil
		}
	}
}

// Scrubbed returns the record of the scrub; found is false when there was none yet.
func (l *Log) Scrubbed(ctx context.Context) (last Scrubbed, found bool, err error) {
	last, revision, err := l.readScrubbed(ctx)
	return last, revision > 0 && last.Epoch == l.Epoch(), err
}

func (l *Log) readScrubbed(ctx context.Context) (last Scrubbed, revision uint64, err error) {
	stored, err := l.client.Leader(ctx, layout.IdentityStream, jet.Request{Last: scrubSubject})
	switch {
	case errors.Is(err, jet.ErrNotFound), jet.HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return last, 0, nil
	case err != nil:
		return last, 0, fmt.Errorf("read the record of the scrub: %w", err)
	}
	if err := json.Unmarshal(stored.Body, &last); err != nil {
		last = Scrubbed{} // The next pass replaces it.
	}
	return last, stored.Sequence, nil
}

// look makes a pass if one is due, and shows what the last one found.
func (s *scrubber) look(ctx context.Context) error {
	last, revision, err := s.readScrubbed(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	epoch := s.Epoch()
	if due := s.atOnce || last.due(epoch, now); due && !now.Before(last.Until) {
		if last, err = s.pass(ctx, last, revision); err != nil {
			return err
		}
		s.atOnce = false
	}
	s.show(epoch, last)
	return nil
}

// pass reads the log, and returns the record with what it found. A pass that fails, or
// panics, gives its lease back, so that another process may begin at once.
func (s *scrubber) pass(ctx context.Context, last Scrubbed, revision uint64) (found Scrubbed, err error) {
	last.Holder, last.Until = s.id, time.Now().Add(scrubLease)
	if revision, err = s.writeScrubbed(ctx, last, revision); err != nil {
		return last, err
	}
	held, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	renewal := &scrubLeaseRenewal{scrubber: s, record: last, revision: revision}
	end := wait.Every(s.renewal, func() bool {
		defer s.guard.Recover("lease of a scrub", func() { lost(contain.ErrPanic) })
		return renewal.renew(held, lost)
	})
	whole := false
	defer func() {
		if end(); !whole {
			err = errors.Join(err, s.giveBack(ctx, last, renewal.revision))
		}
	}()
	epoch := s.Epoch()
	sums, err := s.sums(held, epoch)
	if err == nil {
		err = context.Cause(held)
	}
	if err != nil {
		return last, err
	}
	end()
	whole = true
	found = Scrubbed{Epoch: epoch, At: time.Now().UTC()}
	for _, one := range sums {
		if one.Err != nil {
			s.logger.Warn("a copy of the log was not scrubbed to its end", "server", one.Server, "error", one.Err)
			continue
		}
		if found.Sum.Stream == "" || one.Sum.Lacks() > found.Sum.Lacks() {
			found.Sum, found.Server = one.Sum, one.Server
		}
	}
	_, err = s.writeScrubbed(ctx, found, renewal.revision)
	return found, err
}

// sums reads each copy of the log at the pace of a pass.
func (s *scrubber) sums(ctx context.Context, epoch string) ([]archive.CopySum, error) {
	pace := scrubPace{log: s.Log, at: time.Now()}
	return archive.With(s.client).SumCopies(ctx, layout.EventStream, func(soFar archive.Sum) error {
		if err := pace.wait(ctx, soFar); err != nil {
			return err
		}
		if s.Epoch() != epoch {
			return errEpochBegan
		}
		return nil
	})
}

// giveBack ends the lease of a pass, also after ctx has ended. When that fails, the lease
// ends by itself.
func (s *scrubber) giveBack(ctx context.Context, last Scrubbed, revision uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
	defer cancel()
	last.Holder, last.Until = "", time.Time{}
	_, err := s.writeScrubbed(ctx, last, revision)
	return err
}

// scrubLeaseRenewal renews the lease of a pass beside it: a page of large records can take
// longer to read than the lease is.
type scrubLeaseRenewal struct {
	*scrubber
	// record and revision belong to the renewal until it has ended.
	record   Scrubbed
	revision uint64
}

// renew renews the lease. It calls lost once the lease has ended, and reports whether it is
// to be renewed again.
func (r *scrubLeaseRenewal) renew(ctx context.Context, lost context.CancelCauseFunc) (again bool) {
	renewed := r.record
	renewed.Until = time.Now().Add(scrubLease)
	revision, err := r.writeScrubbed(ctx, renewed, r.revision)
	switch {
	case err == nil:
		r.record, r.revision = renewed, revision
	case time.Now().After(r.record.Until):
		lost(fmt.Errorf("the lease of the scrub was lost: %w", err))
		return false
	}
	return ctx.Err() == nil
}

// show puts the finding of a pass into the metric, and logs one that is new.
func (s *scrubber) show(epoch string, last Scrubbed) {
	if last.Epoch != epoch {
		s.metrics.unreadable.Set(0)
		s.metrics.scrubbedAt.Set(0)
		return
	}
	s.metrics.scrubbedAt.Set(float64(last.At.Unix()))
	s.metrics.unreadable.Set(float64(last.Sum.Lacks()))
	if last.Sum.Lacks() == 0 || last.At.Equal(s.reported) {
		return
	}
	s.reported = last.At
	s.logger.Error("records of the log cannot be read: the disk or the file system has damaged them",
		"stream", layout.EventStream, "server", last.Server, "unreadable", last.Sum.Lacks(), "sequences", last.Sum.Unreadable[:min(10, len(last.Sum.Unreadable))], "scrubbed", last.At)
}

// writeScrubbed replaces the record at a revision, 0 for the first, and returns its
// revision. It fails when another process has replaced it meanwhile.
func (l *Log) writeScrubbed(ctx context.Context, record Scrubbed, revision uint64) (uint64, error) {
	payload, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.AckTimeout)
	defer cancel()
	ack, err := l.client.JS.PublishMsg(ctx, &nats.Msg{Subject: scrubSubject, Data: payload},
		jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithExpectStream(layout.IdentityStream), jetstream.WithRetryAttempts(0))
	if err != nil {
		return revision, fmt.Errorf("write the record of the scrub: %w", err)
	}
	return ack.Sequence, nil
}

// scrubPace slows a pass down to its bounds.
type scrubPace struct {
	log         *Log
	at          time.Time // of the last page
	read, bytes uint64    // up to then
	stored      uint64    // the newest sequence then
}

// wait returns when the next page may be read.
func (p *scrubPace) wait(ctx context.Context, soFar archive.Sum) error {
	records, bytes := soFar.Read, soFar.Bytes
	if records < p.read { // the sum has begun again
		p.read, p.bytes = 0, 0
	}
	seconds := max(float64(records-p.read)/scrubRecords, float64(bytes-p.bytes)/scrubBytes)
	seen, _ := p.log.lineage.known(p.log.Epoch())
	if elapsed := time.Since(p.at).Seconds(); p.stored > 0 && float64(seen.Sequence-min(seen.Sequence, p.stored)) > scrubIdle*elapsed {
		seconds *= scrubBusy
	}
	if err := wait.For(ctx, time.Duration(seconds*float64(time.Second))); err != nil {
		return err
	}
	p.at, p.read, p.bytes, p.stored = time.Now(), records, bytes, seen.Sequence
	return nil
}
