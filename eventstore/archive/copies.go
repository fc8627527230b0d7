package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

const (
	// copyWait is how long a copy that is behind may take to have what the leader had.
	copyWait = 10 * time.Second
	// copyPause is how long one request to a copy waits, and copySilence after how many
	// that bring nothing it is given up.
	copyPause   = 2 * time.Second
	copySilence = 5
	// copyAttempts is how often a copy is read that does not answer, or not whole.
	copyAttempts = 3
	// copyTries bounds how many consumers are created until each server of three, or
	// five, has got one.
	copyTries = 60
	// copyHeaderBytes is more than the headers of one record.
	copyHeaderBytes = 8 << 10
)

// CopySum is what can be read from one copy of a replicated stream.
type CopySum struct {
	// Server is the name of the server that has the copy; empty for a stream that is
	// not replicated.
	Server string
	Sum    Sum
	// Err says why the copy could not be read to its end.
	Err error
}

// SumCopies is [Archive.Sum] for each copy of a stream: what the disk of one server has
// damaged the others may have whole, and any of them may answer a read. It fails when no
// copy can be read, and with the error of pause.
//
// A consumer that is not replicated is placed on one of the servers that have the
// stream, at random, and reads the copy there. The stream says nothing else of which
// copy is read.
func (a *Archive) SumCopies(ctx context.Context, stream string, pause func(soFar Sum) error) ([]CopySum, error) {
	info, err := a.info(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("add up stream %s: %w", stream, err)
	}
	if info.Config.Replicas <= 1 || info.Cluster == nil {
		sum, err := a.Sum(ctx, stream, 0, pause)
		if err != nil {
			return nil, err
		}
		return []CopySum{{Sum: sum}}, nil
	}
	var ended error // by pause
	paused := func(soFar Sum) error {
		if pause != nil {
			ended = pause(soFar)
		}
		return ended
	}
	servers := []string{info.Cluster.Leader}
	for _, peer := range info.Cluster.Replicas {
		servers = append(servers, peer.Name)
	}
	slices.Sort(servers)
	var sums []CopySum
	var failures []error
	for _, server := range servers {
		one := CopySum{Server: server}
		for range copyAttempts {
			one.Sum, one.Err = a.repeatSum(stream, func() (Sum, bool, error) { return a.sumCopy(ctx, stream, server, paused) })
			if err := cmp.Or(ended, ctx.Err()); err != nil {
				return nil, err
			}
			if !errors.Is(one.Err, jet.ErrUnavailable) && !errors.Is(one.Err, jet.ErrIncomplete) {
				break
			}
		}
		sums, failures = append(sums, one), append(failures, one.Err)
	}
	if !slices.Contains(failures, nil) {
		return nil, errors.Join(failures...)
	}
	return sums, nil
}

// sumCopy adds up the copy of one server, up to the last sequence that the leader has.
func (a *Archive) sumCopy(ctx context.Context, stream, server string, pause func(Sum) error) (sum Sum, whole bool, err error) {
	before, err := a.state(ctx, stream)
	if err != nil {
		return sum, false, err
	}
	if err := a.awaitCopy(ctx, server, stream); err != nil {
		return sum, false, err
	}
	sum = Sum{Stream: stream, First: before.FirstSeq, Last: before.LastSeq, Claimed: before.Msgs}
	digest := sha256.New()
	var gaps holes
	gaps.next = before.FirstSeq
	if before.Msgs > 0 {
		page := sum // as it was when pause was last called
		err = a.eachOn(ctx, stream, server, func(found jet.Message) (more bool, err error) {
			if found.Sequence > before.LastSeq {
				return false, nil
			}
			gaps.found(found.Sequence)
			sum.Read++
			sum.Bytes += uint64(len(found.Body))
			addTo(digest, found)
			if sum.Read-page.Read == sumPage || sum.Bytes-page.Bytes >= jet.BatchBytes {
				err, page = pause(sum), sum
			}
			return found.Sequence < before.LastSeq && found.Pending > 0, err
		})
	}
	if err != nil {
		return sum, false, err
	}
	sum.SHA256 = hex.EncodeToString(digest.Sum(nil))
	if err := pause(sum); err != nil {
		return sum, false, err
	}
	after, err := a.state(ctx, stream)
	if err != nil {
		return sum, false, err
	}
	if sum.Last >= before.FirstSeq {
		span := sum.Last - before.FirstSeq + 1
		sum.Deleted = span - min(span, sum.Claimed)
	}
	if sum.Damage() != nil {
		gaps.found(sum.Last + 1)
		if sum.Unreadable, err = a.unreadable(ctx, stream, gaps, after); err != nil {
			return sum, false, err
		}
	}
	return sum, before.FirstSeq == after.FirstSeq && before.NumDeleted == after.NumDeleted, nil
}

// awaitCopy waits until the leader says that a server's copy is up to date.
func (a *Archive) awaitCopy(ctx context.Context, server, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	rest := jet.NewPause(50*time.Millisecond, time.Second)
	for {
		info, err := a.info(ctx, stream)
		if err != nil {
			return err
		}
		current := func(peer *jetstream.PeerInfo) bool { return peer.Name == server && peer.Current && peer.Lag == 0 }
		if info.Cluster != nil && (info.Cluster.Leader == server || slices.ContainsFunc(info.Cluster.Replicas, current)) {
			return nil
		}
		if err := rest.Wait(ctx); err != nil {
			return fmt.Errorf("%w: the copy of server %s is behind: %w", jet.ErrUnavailable, server, err)
		}
	}
}

// eachOn calls visit with each message of a server's copy, in order, until visit says
// that no more is wanted. It returns [jet.ErrIncomplete] when a message was lost on its way,
// which the consumer's own count tells from one that the copy does not have.
func (a *Archive) eachOn(ctx context.Context, stream, server string, visit func(found jet.Message) (more bool, err error)) error {
	consumer, err := a.consumerOn(ctx, stream, server)
	if err != nil {
		return err
	}
	defer a.removeConsumer(ctx, stream, consumer)
	// What is under way is bounded in bytes and in records: the client drops what it has no
	// room for while visit waits, and takes the room for the records beforehand. One record
	// always fits.
	under := max(jet.BatchBytes, int(a.client.Conn.MaxPayload())+copyHeaderBytes)
	for delivered, silent, last := uint64(0), 0, uint64(0); ; silent++ {
		if silent == copySilence {
			return fmt.Errorf("%w: the copy of server %s gives nothing after sequence %d", jet.ErrIncomplete, server, last)
		}
		// The first request may be lost: the consumer is new to the servers in between.
		batch, err := consumer.Fetch(sumPage, jetstream.FetchMaxBytes(under), jetstream.FetchMaxWait(copyPause))
		if err != nil {
			return jet.Unavailable(err)
		}
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return err
			}
			if delivered++; meta.Sequence.Consumer != delivered {
				return fmt.Errorf("%w: delivery %d of server %s is missing", jet.ErrIncomplete, delivered, server)
			}
			silent, last = 0, meta.Sequence.Stream
			more, err := visit(jet.Message{Subject: msg.Subject(), Sequence: last, Header: msg.Headers(), Body: msg.Data(), Pending: meta.NumPending})
			if err != nil || !more {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// consumerOn creates consumers until one is placed on the server.
func (a *Archive) consumerOn(ctx context.Context, stream, server string) (jetstream.Consumer, error) {
	for range copyTries {
		consumer, err := a.client.JS.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Replicas: 1, MemoryStorage: true, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Minute,
		})
		if err != nil {
			return nil, fmt.Errorf("read the copy of server %s: %w", server, jet.Unavailable(err))
		}
		if cluster := consumer.CachedInfo().Cluster; cluster != nil && cluster.Leader == server {
			return consumer, nil
		}
		a.removeConsumer(ctx, stream, consumer)
	}
	return nil, fmt.Errorf("%w: server %s takes no consumer for its copy", jet.ErrUnavailable, server)
}

// removeTimeout bounds the removal of a consumer.
const removeTimeout = 2 * time.Second

// removeConsumer removes a consumer, which would end by itself later.
func (a *Archive) removeConsumer(ctx context.Context, stream string, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	_ = a.client.JS.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name)
}

// info asks the leader of a stream.
func (a *Archive) info(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	found, err := a.client.JS.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, jet.ErrNoStream
	}
	if err != nil {
		return nil, jet.Unavailable(err)
	}
	return found.CachedInfo(), nil
}
