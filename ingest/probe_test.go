package ingest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/ingest"
)

// A Redis server that answers but does not work for the service is detected, and the least
// permissions suffice.
func TestExerciseOfRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for user, rules := range map[string][]any{
		"least":         {"resetchannels", "&novel.realtime.*", "+subscribe", "+unsubscribe", "+publish", "+ping", "+auth", "+hello"},
		"no-receipts":   {"resetchannels", "&novel.realtime.events", "+@all", "~*"},
		"no-events":     {"resetchannels", "&novel.realtime.receipts", "+@all", "~*"},
		"no-subscribe":  {"resetchannels", "&novel.realtime.*", "+@all", "-subscribe"},
		"cannot-answer": {"resetchannels", "&novel.realtime.*", "+@all", "-publish"},
	} {
		if err := b.client.Do(t.Context(), append([]any{"ACL", "SETUSER", user, "on", ">pw"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for user, want := range map[string]error{
		"least": nil, "no-receipts": ingest.ErrReceipts, "no-events": ingest.ErrSubscribe, "no-subscribe": ingest.ErrSubscribe, "cannot-answer": ingest.ErrReceipts,
	} {
		options := *b.client.Options()
		options.Username, options.Password = user, "pw"
		if err := ingest.Exercise(t.Context(), &options, "text", patience); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
	}
}

// A primary that becomes a replica is reported as a replica.
func TestExerciseOfAReplica(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := ingest.Exercise(t.Context(), b.client.Options(), "text", patience); err != nil {
		t.Fatal(err)
	}
	if err := b.client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := ingest.Exercise(t.Context(), b.client.Options(), "text", patience); !errors.Is(err, ingest.ErrReplica) {
		t.Errorf("a replica: %v", err)
	}
}

// Missing subscribers are not reported as missing permissions.
func TestExerciseWithoutSubscribers(t *testing.T) {
	t.Parallel()
	began := time.Now()
	err := ingest.Exercise(context.Background(), &redis.Options{Addr: "127.0.0.1:1"}, "text", time.Second)
	if err == nil || errors.Is(err, ingest.ErrSubscribe) || errors.Is(err, ingest.ErrReceipts) {
		t.Errorf("error = %v", err)
	}
	if time.Since(began) > patience {
		t.Errorf("took %s", time.Since(began))
	}
}
