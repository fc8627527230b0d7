package eventstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/revocations"
)

// A stream of revocations that somebody removed, created again and filled with at least as
// many messages between two looks is recognized: what it has is read, and it is given what it
// lacks, but for what was lifted in it.
func TestRevocationsOfAnotherStream(t *testing.T) {
	t.Parallel()
	const name = "NOVEL_REVOCATIONS"
	b := setup(t)
	open := func() *revocations.Store {
		t.Helper()
		store, err := revocations.Open(t.Context(), b.log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	values := func(store *revocations.Store) (all []string) {
		for _, r := range store.List() {
			all = append(all, r.Value)
		}
		return all
	}
	store := open()
	for _, value := range []string{"kept", "lifted"} {
		if err := store.Add(t.Context(), revocations.Revocation{Kind: revocations.KindToken, Value: value, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- store.Run(ctx, func() { changed <- struct{}{} }) }() // ends with ctx
	eventually(t, "what is revoked", func() bool { return slices.Equal(values(store), []string{"kept", "lifted"}) })
	stop()
	if err := await(t, "the end of the follower", ended); err != nil {
		t.Fatal(err)
	}

	stream, err := b.js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	lifted, err := stream.GetLastMsgForSubject(t.Context(), "novel.revoke.token.*")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if err := b.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		data, err := json.Marshal(revocations.Revocation{Kind: revocations.KindKey, Value: fmt.Sprint("new-", n), At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.js.Publish(t.Context(), fmt.Sprint("novel.revoke.key.", n), data); err != nil {
			t.Fatal(err)
		}
	}
	var end revocations.Revocation
	if err := json.Unmarshal(lifted.Data, &end); err != nil {
		t.Fatal(err)
	}
	end.Lifted = true
	data, err := json.Marshal(end)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.Publish(t.Context(), lifted.Subject, data); err != nil {
		t.Fatal(err)
	}

	ctx, stop = context.WithCancel(t.Context())
	go func() { ended <- store.Run(ctx, func() { changed <- struct{}{} }) }() // ends with ctx
	want := []string{"new-0", "new-1", "new-2", "kept"}
	eventually(t, "what both streams have", func() bool { return slices.Equal(values(store), want) })
	eventually(t, "the stream to have all", func() bool { return slices.Equal(values(open()), want) })
	stop()
	if err := await(t, "the end of the follower", ended); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(lifted.Subject, "novel.revoke.token.") || end.Value != "lifted" {
		t.Errorf("lifted %+v at %s", end, lifted.Subject)
	}
}
