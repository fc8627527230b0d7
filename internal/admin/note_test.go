package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/messaging"
)

// notes is the trail of changes as its pages have it.
type notes struct {
	Items []struct{ Note json.RawMessage }
}

// refuse stores dead letters.
func refuse(t *testing.T, log *eventstore.Log, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		letter := messaging.DeadLetter{Reason: messaging.ReasonUnknownKind, Source: "test", At: time.Now(), Body: []byte(body)}
		if err := log.DeadLetter(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChangeThatFailsHalfWay: the answer and the audit trail have what was done before. Here
// the log takes one event more, and the request ends once that is stored and its letter
// removed.
func TestChangeThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	conn := logkit.Conn(t)
	log := logkit.Open(t, conn)
	mux := serve(t, log, admin.Deps{})
	for n := range 3 {
		refuse(t, log, fmt.Sprintf(`{"kind":"job-status","jobId":"job","status":"running","id":"%d"}`, n))
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "NOVEL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	limited := stream.CachedInfo().Config
	limited.MaxMsgs, limited.Discard = int64(stream.CachedInfo().State.Msgs)+1, jetstream.DiscardNew
	if _, err := js.UpdateStream(t.Context(), limited); err != nil {
		t.Fatal(err)
	}
	request := change(t, "/letters/redrive", `{"sequences":[1,2,3]}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stored := make(chan struct{})
	go func() { // ends once the first letter is gone
		defer close(stored)
		for ctx.Err() == nil {
			if left, err := maintain.Of(log).DeadLetters(ctx, 0, 1); err == nil && left[0].Sequence > 1 {
				cancel()
			}
		}
	}()
	var answer struct {
		Code    string
		Outcome struct {
			Items []struct{ Sequence, Stored uint64 }
		}
	}
	answered(t, mux, request.WithContext(ctx), http.StatusServiceUnavailable, &answer)
	<-stored
	if done := answer.Outcome.Items; answer.Code != "unavailable" || len(done) != 1 || done[0].Sequence != 1 || done[0].Stored == 0 {
		t.Errorf("answer %+v", answer)
	}
	var trail notes
	get(t, mux, "/audit", &trail)
	var note struct {
		Stage, Error string
		Outcome      struct{ Stored []uint64 }
	}
	if err := json.Unmarshal(trail.Items[len(trail.Items)-1].Note, &note); err != nil {
		t.Fatal(err)
	}
	if note.Stage != "failed" || note.Error == "" || !slices.Equal(note.Outcome.Stored, []uint64{1}) {
		t.Errorf("note %+v", note)
	}
}

// TestNotesAreSmall: the trail is never shortened, so a note is bounded whatever is asked
// for, and what is refused for its form leaves none.
func TestNotesAreSmall(t *testing.T) {
	t.Parallel()
	const letters, most = 200, 40 << 10
	log := logkit.Open(t, logkit.Conn(t))
	revoked, err := revocations.Open(t.Context(), log, time.Hour, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	mux := serve(t, log, admin.Deps{Revocations: revoked})
	var sequences []uint64
	for n := range letters {
		refuse(t, log, fmt.Sprintf(`{"kind":"none-%d","jobId":%q}`, n, strings.Repeat("j", 250)))
		sequences = append(sequences, uint64(n)+1)
	}
	body, err := json.Marshal(map[string]any{"sequences": sequences})
	if err != nil {
		t.Fatal(err)
	}
	var redriven struct {
		Items []struct{ Refused string }
	}
	answered(t, mux, change(t, "/letters/redrive", string(body)), http.StatusOK, &redriven)
	if len(redriven.Items) != letters || redriven.Items[0].Refused == "" {
		t.Errorf("redriven %d", len(redriven.Items))
	}
	var refused struct{ Code string }
	answered(t, mux, change(t, "/revocations", fmt.Sprintf(`{"kind":"token","value":%q}`, strings.Repeat("v", 60<<10))), http.StatusBadRequest, &refused)
	answered(t, mux, change(t, "/revocations", `{"kind":"nothing","value":"v"}`), http.StatusBadRequest, &refused)
	var trail notes
	get(t, mux, "/audit", &trail)
	if len(trail.Items) != 2 {
		t.Errorf("%d notes, want those of the redrive", len(trail.Items))
	}
	for _, item := range trail.Items {
		if len(item.Note) > most {
			t.Errorf("a note of %d bytes: %.300s", len(item.Note), item.Note)
		}
	}
	var note struct{ Outcome struct{ Refused []uint64 } }
	if err := json.Unmarshal(trail.Items[1].Note, &note); err != nil || !slices.Equal(note.Outcome.Refused, sequences) {
		t.Errorf("note %.300s, %v", trail.Items[1].Note, err)
	}
}
