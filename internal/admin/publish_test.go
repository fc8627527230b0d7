package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// TestPublishedEventsAreNoted: the trail names the event that was published, without its
// contents, and a refusal as failed.
func TestPublishedEventsAreNoted(t *testing.T) {
	t.Parallel()
	mux := serve(t, logkit.Open(t, logkit.Conn(t)), admin.Deps{Publish: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(body), "refused") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":"unknown-kind","message":"there is no such kind"}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"jobId":"job","id":"1","sequence":7,"duplicate":false}`)
	})})
	var answer any
	answered(t, mux, change(t, "/events", `{"kind":"job-status","jobId":"job","id":"1","status":"a secret"}`), http.StatusCreated, &answer)
	answered(t, mux, change(t, "/events", `{"kind":"refused","jobId":"job","status":"a secret"}`), http.StatusBadRequest, &answer)
	var trail notes
	get(t, mux, "/audit", &trail)
	var told []string
	for _, item := range trail.Items {
		var note struct {
			Stage   string
			Outcome json.RawMessage
		}
		if err := json.Unmarshal(item.Note, &note); err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprintf("%s %s", note.Stage, note.Outcome))
	}
	want := `begun , done {"status":201,"jobId":"job","id":"1","kind":"job-status","sequence":7}, begun , failed {"status":400,"code":"unknown-kind","jobId":"job","kind":"refused"}`
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("noted %s\nwant  %s", got, want)
	}
}
