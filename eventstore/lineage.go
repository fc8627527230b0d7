package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/internal/wait"
)

const (
	// identityRounds is after how many rounds of the guard the record of the epoch is
	// read, and recreateRounds after how many the streams are looked for.
	identityRounds = 5
	recreateRounds = 2
	// confirmations and confirmPause are how a replicated log is asked again that
	// answered with a lower sequence: a server that has just lost its office, or just
	// taken it, may be behind for a moment.
	confirmations = 4
	confirmPause  = 500 * time.Millisecond
	// keeperTimeout bounds one request to one keeper.
	keeperTimeout = 2 * time.Second
	// lastTimeout bounds all requests of the end: a stop has little time for each part, and
	// a mark that is a little old costs no event.
	lastTimeout = 500 * time.Millisecond
)

// lineage is what this process has seen of the log, and who else keeps a mark.
type lineage struct {
	// mu guards the fields below.
	mu sync.Mutex
	// seen is the highest sequence of the current epoch that this process has seen.
	seen Mark
	// anchor is the newest mark whose time is known.
	anchor Mark
	// listeners are woken when a new epoch begins.
	listeners []chan<- struct{}

	// doubt says that the log may be another one than it was, as after a reconnect:
	// the next state compares the record at the anchor, too.
	doubt atomic.Bool
	// turning is held while a new epoch begins.
	turning sync.Mutex
}

// noteMark raises what has been seen of the current epoch.
func (l *Log) noteMark(mark Mark) {
	if mark.Sequence == 0 || mark.Epoch != l.Epoch() {
		return
	}
	n := &l.lineage
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen.Epoch != mark.Epoch {
		n.seen, n.anchor = Mark{Epoch: mark.Epoch}, Mark{}
	}
	if mark.Sequence > n.seen.Sequence {
		n.seen = mark
	}
	if !mark.At.IsZero() && mark.Sequence >= n.anchor.Sequence {
		n.anchor = mark
	}
}

// known returns what has been seen of an epoch; zero marks for another one.
func (n *lineage) known(epoch string) (seen, anchor Mark) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen.Epoch != epoch {
		return Mark{}, Mark{}
	}
	return n.seen, n.anchor
}

func (n *lineage) listen(wake chan<- struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners = append(n.listeners, wake)
}

func (n *lineage) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, wake := range n.listeners {
		signal(wake)
	}
}

// suspicious reports whether a state of the log may contradict a mark of its epoch,
// as far as the state alone can tell.
func suspicious(state jetstream.StreamState, mark Mark) bool {
	return state.LastSeq < mark.Sequence ||
		state.LastSeq == mark.Sequence && state.Msgs > 0 && !mark.At.IsZero() && !state.LastTime.Equal(mark.At)
}

// contradicts says how the log contradicts a mark of its epoch, empty when it does
// not: by its last sequence, or by another record at the mark.
func (l *Log) contradicts(ctx context.Context, state jetstream.StreamState, mark Mark) (string, error) {
	if state.LastSeq < mark.Sequence {
		return fmt.Sprintf("the log ends at sequence %d and has given out %d", state.LastSeq, mark.Sequence), nil
	}
	if mark.At.IsZero() {
		return "", nil
	}
	stored, err := l.client.Leader(ctx, layout.EventStream, jet.Request{Sequence: mark.Sequence})
	switch {
	case errors.Is(err, jet.ErrNotFound): // Erased, or removed by age: it says nothing.
		return "", nil
	case err != nil:
		return "", err
	case !stored.At.Equal(mark.At):
		return fmt.Sprintf("the log has another record at sequence %d than it had", mark.Sequence), nil
	}
	return "", nil
}

// confirmed asks the log again about a contradiction. With one replica the first
// answer is final: only one server has the log. It returns the state by which the
// contradiction holds, and an empty text when it does not.
func (l *Log) confirmed(ctx context.Context, info *jetstream.StreamInfo, mark Mark, found string) (*jetstream.StreamInfo, string, error) {
	if info.Config.Replicas <= 1 {
		return info, found, nil
	}
	for range confirmations {
		if err := wait.For(ctx, confirmPause); err != nil {
			return info, "", err
		}
		again, err := l.describe(ctx)
		if err != nil {
			return info, "", err
		}
		info = again
		if found, err = l.contradicts(ctx, info.State, mark); found == "" || err != nil {
			return info, "", err
		}
	}
	return info, found, nil
}

// judge compares a state of the log with a mark, and begins a new epoch when it
// contradicts it. It returns the epoch by then.
func (l *Log) judge(ctx context.Context, info *jetstream.StreamInfo, epoch string, mark Mark, keeper string) (string, error) {
	if mark.Epoch != epoch || mark.Sequence == 0 || l.readOnly {
		return epoch, nil
	}
	found, err := l.contradicts(ctx, info.State, mark)
	if found == "" || err != nil {
		return epoch, err
	}
	info, found, err = l.confirmed(ctx, info, mark, found)
	if found == "" || err != nil {
		return epoch, err
	}
	return l.turn(ctx, epoch, EpochTailLost, found+", says "+keeper, info.State.LastSeq)
}

// turn begins a new epoch in place of one, unless another process or goroutine has
// done so already, and returns the epoch by then. The record beside the log is
// changed by compare-and-set, so that all gateways agree on one successor. The epoch
// stays the old one while nobody can be asked: the next comparison begins again.
func (l *Log) turn(ctx context.Context, from string, reason EpochReason, detail string, last uint64) (string, error) {
	l.lineage.turning.Lock()
	defer l.lineage.turning.Unlock()
	if now := l.Epoch(); now != from && now != "" {
		return now, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*l.cfg.ReadTimeout)
	defer cancel()
	for range maxIdentityTries {
		recorded, revision, err := l.readIdentity(ctx)
		if err != nil {
			return from, err
		}
		if revision > 0 && recorded.Epoch != from {
			return l.adopt(recorded.Epoch), nil
		}
		stream, err := l.client.JS.Stream(ctx, layout.EventStream)
		if err != nil {
			return from, jet.Unavailable(err)
		}
		recorded.Epoch = from
		next := recorded.successor(streams.NewEpoch())
		next.Created, next.Reason, next.Detail, next.Last = stream.CachedInfo().Created.UTC(), reason, detail, last
		err = l.writeIdentity(ctx, next, revision)
		if errors.Is(err, errOutrun) {
			continue
		}
		if err != nil && jet.Passing(err) {
			return from, err
		}
		// Without room for the record, the metadata alone has the new epoch.
		l.logger.Error("the log has begun a new epoch: clients get a gap, and the read models are filled again",
			"reason", reason, "detail", detail, "epoch", next.Epoch, "previousEpoch", from, "last", last)
		l.restoreMetadata(ctx, stream.CachedInfo(), next.Epoch)
		return l.adopt(next.Epoch), nil
	}
	return from, fmt.Errorf("%w: its identity kept changing", ErrUnavailable)
}

// adopt makes an epoch the current one, and wakes who has to look again.
func (l *Log) adopt(epoch string) string {
	previous := l.epoch.Swap(&epoch)
	if *previous == epoch {
		return epoch
	}
	if *previous != "" {
		l.metrics.epochs.Inc()
		l.logger.Warn("the log is in a new epoch: sequences of the previous one mean nothing any more", "epoch", epoch, "previousEpoch", *previous)
		l.lineage.wakeAll()
	}
	return epoch
}

// Guard compares the log, whenever it is reached again and on a pace, with the marks
// of the keepers and with what this process has seen, and renews the marks, until
// ctx ends; then it stores them a last time and returns nil. A keeper that does not
// answer is asked again.
//
// [Log.Vouch] makes the first comparison, before anything is appended.
func (l *Log) Guard(ctx context.Context) error {
	status := l.client.Conn.StatusChanged(nats.CONNECTED)
	defer l.client.Conn.RemoveStatusListener(status)
	tick := time.NewTicker(l.cfg.GuardInterval)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
			defer cancel()
			if _, err := l.State(last); err != nil { // What was given out since the last round is in the mark, too.
				l.logger.Debug("the last mark of the log may be old", "error", err)
			}
			l.renewMarks(last)
			return nil
		case <-status:
			l.lineage.doubt.Store(true)
			for _, kept := range l.keepers {
				kept.compared = false
			}
		case <-tick.C:
		}
		l.settleAppends(time.Now())
		if round%identityRounds == 0 {
			l.checkIdentity(ctx)
		}
		if round%recreateRounds == 0 {
			l.recreate(ctx)
		}
		if err := l.Vouch(ctx); err != nil && ctx.Err() == nil {
			l.logger.Debug("the log was not compared with the marks", "error", err)
			continue
		}
		l.renewMarks(ctx)
	}
}

// checkIdentity adopts an epoch that another process has recorded and not written
// into the metadata of the stream, because it ended in between.
func (l *Log) checkIdentity(ctx context.Context) {
	recorded, revision, err := l.readIdentity(ctx)
	if err != nil || revision == 0 || !slices.Contains(recorded.Previous, l.Epoch()) {
		return // The next round asks again.
	}
	if stream, err := l.client.JS.Stream(ctx, layout.EventStream); err == nil {
		l.restoreMetadata(ctx, stream.CachedInfo(), recorded.Epoch)
	}
	l.adopt(recorded.Epoch)
}

// kept is one keeper, and how far it has been compared.
type kept struct {
	Keeper
	// compared says that its mark has been compared since the log was reached last.
	compared bool
	// stored is the mark that it holds.
	stored Mark
	// outage is kept of the requests to it.
	outage *outage.Book
}

// newKept returns a keeper that has not been compared.
func (l *Log) newKept(keeper Keeper) *kept {
	return &kept{Keeper: keeper, outage: outage.NewBook(l.logger, slog.LevelWarn,
		"the high-water mark of the log cannot be kept; a lost tail would be recognised by fewer witnesses",
		"the high-water mark of the log is kept again", "keeper", keeper.Name())}
}

// Keep adds keepers of the mark, beside the one in the log's own server. It must be
// called before [Log.Vouch] and [Log.Guard].
func (l *Log) Keep(keepers ...Keeper) {
	for _, keeper := range keepers {
		l.keepers = append(l.keepers, l.newKept(keeper))
	}
}

// Vouch compares the log with the mark of each keeper that has not been compared
// yet, and with what this process has seen. A log that lacks what it has given out
// begins a new epoch, before Vouch returns.
func (l *Log) Vouch(ctx context.Context) error {
	if _, err := l.State(ctx); err != nil {
		return err
	}
	var failures []error
	for _, kept := range l.keepers {
		if kept.compared {
			continue
		}
		err := l.compare(ctx, kept)
		kept.outage.Note(err)
		failures = append(failures, err)
		kept.compared = err == nil
	}
	return errors.Join(failures...)
}

// compare compares the log with one keeper.
func (l *Log) compare(ctx context.Context, kept *kept) error {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	mark, found, err := kept.Load(ctx)
	if err != nil {
		return err
	}
	info, err := l.describe(ctx)
	if err != nil {
		return err
	}
	epoch := l.Epoch()
	if found {
		kept.stored = mark
		if epoch, err = l.judge(ctx, info, epoch, mark, kept.Name()); err != nil {
			return err
		}
	}
	if witness, is := kept.Keeper.(Witness); is {
		beyond, err := witness.Beyond(ctx, Mark{Epoch: epoch, Sequence: info.State.LastSeq})
		if err != nil {
			return err
		}
		if beyond > 0 {
			// The log may have grown since the last question.
			if info, err = l.describe(ctx); err != nil {
				return err
			}
			if epoch, err = l.judge(ctx, info, epoch, Mark{Epoch: epoch, Sequence: beyond}, kept.Name()); err != nil {
				return err
			}
		}
	}
	if doubter, doubts := kept.Keeper.(Doubter); doubts && (!found || mark.Epoch == epoch) && info.State.LastSeq > 0 {
		if doubt := doubter.Doubt(); doubt != "" {
			_, err = l.turn(ctx, epoch, EpochCopied, doubt, info.State.LastSeq)
		}
	}
	return err
}

// describe asks the leader of the event stream.
func (l *Log) describe(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := l.client.JS.Stream(ctx, layout.EventStream)
	if err != nil {
		return nil, jet.Unavailable(err)
	}
	return stream.CachedInfo(), nil
}

// renewMarks stores what the log has given out with every keeper that lacks it.
func (l *Log) renewMarks(ctx context.Context) {
	_, anchor := l.lineage.known(l.Epoch())
	if anchor.Sequence == 0 {
		return
	}
	for _, kept := range l.keepers {
		// One whose mark has not been compared keeps it: it may be the only witness.
		if !kept.compared || kept.stored == anchor {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, keeperTimeout)
		err := kept.Store(bounded, anchor)
		cancel()
		if err == nil {
			kept.stored = anchor
		}
		kept.outage.Note(err)
	}
}
