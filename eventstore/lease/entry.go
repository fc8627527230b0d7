package lease

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// entry is one key of the bucket NOVEL_OPERATIONS, whose value is replaced as a whole.
type entry struct {
	js  jetstream.JetStream
	key string
}

// change replaces the value by what decide makes of it, which is called again whenever
// another process was faster. An entry that does not exist has no bytes. create makes the
// bucket if it does not exist.
func (e entry) change(ctx context.Context, create bool, decide func(value []byte, now time.Time) ([]byte, error)) error {
	rest := jet.NewPause(10*time.Millisecond, 500*time.Millisecond)
	for {
		value, revision, now, err := e.read(ctx)
		if err != nil {
			return err
		}
		if value, err = decide(value, now); err != nil {
			return err
		}
		if create {
			if err := ensure(ctx, e.js); err != nil {
				return err
			}
		}
		bucket, err := e.js.KeyValue(ctx, layout.OperationBucket)
		if err != nil {
			return jet.Unavailable(err)
		}
		if revision == 0 {
			_, err = bucket.Create(ctx, e.key, value)
		} else {
			_, err = bucket.Update(ctx, e.key, value, revision)
		}
		if err == nil {
			return nil
		}
		// Another process was faster; which error says so depends on the replicas.
		if !errors.Is(err, jetstream.ErrKeyExists) && !jet.HasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jet.CodeWrongLastSequence) {
			return jet.Unavailable(err)
		}
		if err := rest.Wait(ctx); err != nil {
			return err
		}
	}
}

// read returns the value, its revision, 0 without one, and the time at the server.
func (e entry) read(ctx context.Context) (value []byte, revision uint64, now time.Time, err error) {
	stream, err := e.js.Stream(ctx, layout.OperationStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, time.Now().UTC(), nil
	}
	if err != nil {
		return nil, 0, now, jet.Unavailable(err)
	}
	if now = stream.CachedInfo().TimeStamp.UTC(); now.IsZero() {
		now = time.Now().UTC() // a server before 2.10
	}
	found, err := stream.GetLastMsgForSubject(ctx, "$KV."+layout.OperationBucket+"."+e.key)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, now, nil
	}
	if err != nil {
		return nil, 0, now, jet.Unavailable(err)
	}
	return found.Data, found.Sequence, now, nil
}

// ensure makes the bucket, with as many replicas as the log has, if there is one.
func ensure(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.Stream(ctx, layout.OperationStream)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return jet.Unavailable(err)
	}
	replicas := 1
	if events, err := js.Stream(ctx, layout.EventStream); err == nil {
		replicas = events.CachedInfo().Config.Replicas
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: layout.OperationBucket, Description: "Changes in several steps: those that run, and those that were interrupted.",
		History: 1, Storage: jetstream.FileStorage, Replicas: replicas, MaxBytes: 4 << 20,
	})
	if errors.Is(err, jetstream.ErrBucketExists) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another process was faster
	}
	return jet.Unavailable(err)
}
