package admin_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// TestRevocationsAreListedToTheEnd: the pages lead to every revocation, in the order of kind
// and value.
func TestRevocationsAreListedToTheEnd(t *testing.T) {
	t.Parallel()
	const subjects = 510
	log := logkit.Open(t, logkit.Conn(t))
	add := func(store *revocations.Store, kind revocations.Kind, value string) (place string) {
		t.Helper()
		if err := store.Add(t.Context(), revocations.Revocation{Kind: kind, Value: value, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		return string(kind) + " " + value
	}
	open := func() *revocations.Store {
		store, err := revocations.Open(t.Context(), log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	written := open()
	var want []string
	for n := range subjects {
		want = append(want, add(written, revocations.KindSubject, fmt.Sprintf("user &%04d", n)))
	}
	want = append(want, add(written, revocations.KindToken, "one"), add(written, revocations.KindKey, "two"))
	slices.Sort(want)
	mux := serve(t, log, admin.Deps{Revocations: open()})
	for _, query := range []string{"", "limit=500&", "limit=7&"} {
		var found []string
		for after, pages := "", 0; pages <= subjects; pages++ {
			var page struct {
				Items []struct{ Kind, Value string }
				Next  string
			}
			get(t, mux, "/revocations?"+query+"after="+url.QueryEscape(after), &page)
			for _, item := range page.Items {
				found = append(found, item.Kind+" "+item.Value)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("with %q: %d of %d revocations, or another order", query, len(found), len(want))
		}
	}
}
