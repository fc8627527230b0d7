package eventstore

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// serve hands the records of one shard to the follower, in order.
func (t *Tail) serve(ctx context.Context, shard int, queue <-chan *nats.Msg, f Follower) {
	var highest uint64
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-queue:
			t.hand(ctx, shard, msg, &highest, f)
		}
	}
}

// hand hands one record to the follower. After a panic the record is lost here, and the
// room of its job reads it from the log with the next one. highest is the highest
// sequence of the shard.
func (t *Tail) hand(ctx context.Context, shard int, msg *nats.Msg, highest *uint64, f Follower) {
	defer t.guard.Recover("live tail", nil)
	defer t.canary.handed[shard].Add(1)
	if t.canary.is(msg) {
		t.exercised(shard, msg, f)
		return
	}
	live, err := t.live(msg)
	if err != nil {
		t.log.metrics.foreign.Inc()
		t.log.logger.Debug("live message is not a record", "error", err)
		return
	}
	// The server republishes in the order of the stream, so a sequence that goes back
	// is of a stream that was re-created.
	if live.Sequence < *highest {
		t.log.lineage.doubt.Store(true)
		t.log.refreshEpoch(ctx)
		live.Epoch = t.log.Epoch()
		signal(t.renewed)
	}
	*highest = live.Sequence
	t.log.noteMark(Mark{Epoch: live.Epoch, Sequence: live.Sequence, At: live.StoredAt})
	t.log.metrics.received.Inc()
	f.Live(live)
}

// live decodes a republished message:
//
//	Nats-Subject, Nats-Sequence, Nats-Time-Stamp   of the stored message
//	Nats-Last-Sequence                             the one before it in this subject
func (t *Tail) live(msg *nats.Msg) (messaging.Live, error) {
	sequence, err := jet.NumberHeader(msg.Header, jetstream.SequenceHeader)
	if err != nil {
		return messaging.Live{}, err
	}
	previous, err := jet.NumberHeader(msg.Header, jet.HeaderLast)
	if err != nil {
		return messaging.Live{}, err
	}
	at, err := jet.TimeHeader(msg.Header, jetstream.TimeStampHeaer)
	if err != nil {
		return messaging.Live{}, err
	}
	position := messaging.Position{Epoch: t.log.Epoch(), Sequence: sequence}
	record, err := layout.Decode(msg.Header.Get(jetstream.SubjectHeader), msg.Header, msg.Data, position, at)
	if err != nil {
		return messaging.Live{}, err
	}
	return messaging.Live{Record: record, Previous: previous}, nil
}

// watch tells the follower when records may have been missed.
func (t *Tail) watch(ctx context.Context, connected <-chan nats.Status, f Follower) {
	ticker := time.NewTicker(overflowCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-connected:
			// The server knows the subscriptions again once it answers a ping:
			// what it stores from then on is heard.
			flushed, cancel := context.WithTimeout(ctx, t.log.cfg.ReadTimeout)
			if err := t.log.client.Conn.FlushWithContext(flushed); err != nil {
				t.log.logger.Debug("connection broke again", "error", err)
			}
			cancel()
			t.log.lineage.doubt.Store(true)
			t.log.refreshEpoch(ctx)
			t.disrupted(messaging.DisruptionReconnect, f)
		case <-t.renewed:
			t.disrupted(messaging.DisruptionEpoch, f)
		case <-t.check:
			t.checkDrops(f)
		case <-ticker.C:
			t.checkDrops(f)
		}
	}
}

func (t *Tail) disrupted(cause messaging.Disruption, f Follower) {
	t.log.metrics.disrupted.WithLabelValues(string(cause)).Inc()
	t.log.logger.Info("followed jobs may have missed records and are checked", "cause", cause)
	f.Disrupted(cause)
}

// checkDrops counts what the queues dropped since it was last asked.
func (t *Tail) checkDrops(f Follower) {
	t.mu.Lock()
	known := maps.Clone(t.dropping)
	t.mu.Unlock()
	dropped := 0
	for sub, before := range known {
		total, err := sub.Dropped()
		t.mu.Lock()
		if _, followed := t.dropping[sub]; err != nil {
			delete(t.dropping, sub) // The subscription has ended.
		} else if followed {
			dropped += total - before
			t.dropping[sub] = total
		}
		t.mu.Unlock()
	}
	if dropped > 0 {
		t.log.metrics.dropped.Add(float64(dropped))
		t.disrupted(messaging.DisruptionOverflow, f)
	}
}

// listenForDrops puts the tail before the connection's error handler and returns
// what takes it out again.
func (t *Tail) listenForDrops() (restore func()) {
	conn := t.log.client.Conn
	previous := conn.ErrorHandler()
	conn.SetErrorHandler(func(conn *nats.Conn, sub *nats.Subscription, err error) {
		if sub != nil && errors.Is(err, nats.ErrSlowConsumer) && t.noteDrop(sub) {
			return
		}
		if previous != nil {
			previous(conn, sub, err)
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, followed := range t.jobs {
		if followed.sub != nil {
			t.dropping[followed.sub] = 0 // Followed before anybody listened: ask once.
		}
	}
	return func() { conn.SetErrorHandler(previous) }
}

// noteDrop remembers that one of the tail's subscriptions dropped records, and
// reports whether it is one of them.
func (t *Tail) noteDrop(sub *nats.Subscription) bool {
	token, live := strings.CutPrefix(sub.Subject, layout.LivePrefix)
	if !live {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if followed := t.jobs[token]; followed == nil || followed.sub != nil && followed.sub != sub {
		return false
	}
	if _, known := t.dropping[sub]; !known {
		t.dropping[sub] = 0
	}
	signal(t.check)
	return true
}

// signal wakes the reader of a channel of length one, unless it is about to wake.
func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
