package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// entry is one key of the bucket NOVEL_OPERATIONS: a list that is replaced as a whole.
type entry[T any] struct {
	js  jetstream.JetStream
	key string
	// what names the list in errors.
	what string
	// judge marks an item that was read as interrupted if its lease has ended.
	judge func(item *T, now time.Time)
}

// change replaces the list by what decide makes of it, which is called again whenever
// another process was faster. create makes the bucket if it does not exist.
func (e entry[T]) change(ctx context.Context, create bool, decide func(all []T, now time.Time) ([]T, error)) error {
	rest := jet.NewPause(10*time.Millisecond, 500*time.Millisecond)
	for {
		all, revision, now, err := e.read(ctx)
		if err != nil {
			return err
		}
		if all, err = decide(all, now); err != nil {
			return err
		}
		value, err := json.Marshal(all)
		if err != nil {
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

// read returns the list, empty if there is none, its revision, 0 without one, and the time
// at the server.
func (e entry[T]) read(ctx context.Context) (all []T, revision uint64, now time.Time, err error) {
	value, revision, now, err := e.value(ctx)
	if err != nil || len(value) == 0 {
		return nil, revision, now, err
	}
	if err := json.Unmarshal(value, &all); err != nil {
		return nil, 0, now, fmt.Errorf("read %s: %w", e.what, err)
	}
	for i := range all {
		e.judge(&all[i], now)
	}
	return all, revision, now, nil
}

// value returns the list as it is stored, with its revision and the time at the server.
func (e entry[T]) value(ctx context.Context) (value []byte, revision uint64, now time.Time, err error) {
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
