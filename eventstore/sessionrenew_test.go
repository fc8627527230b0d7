package eventstore_test

import (
	"context"
	"slices"
	"testing"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/sessions"
)

// A process renews the states that it was the last to store, and no others.
func TestSessionsRenew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	runSessions(t, store)
	conn, err := b.server.Conn(eventstore.ConnOptions(nil)...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	other := open(t, conn)
	elsewhere := other.openSessions(t)
	runSessions(t, elsewhere)

	renew := func(store *sessions.Store, ids ...string) (refused []string) {
		refused = store.Renew(t.Context(), ids, renewed)
		slices.Sort(refused)
		return refused
	}
	want := func(what string, got, wanted []string) {
		t.Helper()
		if !slices.Equal(got, wanted) {
			t.Errorf("%s: refused %v, want %v", what, got, wanted)
		}
	}
	mine, moved, forgotten, never := sessionID(1), sessionID(2), sessionID(3), sessionID(4)
	for _, id := range []string{mine, moved, forgotten} {
		store.Save(id, []byte("one"))
	}
	b.settled(t)
	want("before others", renew(store, mine, moved, forgotten, never), []string{never})
	want("again", renew(store, mine), nil)
	mustLoad(t, store, mine, "renewed")

	elsewhere.Save(moved, []byte("two"))
	other.settled(t)
	store.Forget(forgotten)
	b.settled(t)
	want("after others", renew(store, mine, moved, forgotten), []string{moved, forgotten})
	mustLoad(t, store, moved, "two")
	mustLoad(t, store, forgotten, "-")
	want("by the other process", renew(elsewhere, moved, mine), []string{mine})

	// Whoever saves one again has it again.
	store.Save(moved, []byte("three"))
	b.settled(t)
	want("after another save", renew(store, moved), nil)
	want("by the process before", renew(elsewhere, moved), []string{moved})
	mustLoad(t, elsewhere, moved, "renewed")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	want("after the end", store.Renew(ended, []string{mine}, renewed), []string{mine})
}

// renewed returns the state that a renewal stores.
func renewed(string) []byte { return []byte("renewed") }

// A state that is stored while a session is being renewed is newer than the one that is
// renewed, and stays.
func TestSessionsRenewKeepsNewerStates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := b.openSessions(t)
	runSessions(t, store)
	id := sessionID(1)
	store.Save(id, []byte("one"))
	b.settled(t)
	refused := store.Renew(t.Context(), []string{id}, func(string) []byte {
		store.Save(id, []byte("newer"))
		b.settled(t)
		return []byte("older")
	})
	if !slices.Equal(refused, []string{id}) {
		t.Errorf("refused %v, want the session", refused)
	}
	mustLoad(t, store, id, "newer")
	if refused := store.Renew(t.Context(), []string{id}, renewed); len(refused) > 0 {
		t.Errorf("refused %v after the save, want none", refused)
	}
}
