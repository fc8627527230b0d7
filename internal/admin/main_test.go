package admin_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/operations/deadletters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns the API on a log, for a listener that only operators reach.
func serve(t *testing.T, log *eventstore.Log, deps admin.Deps) *http.ServeMux {
	t.Helper()
	deps.Log, deps.Trail, deps.Logger = maintain.Of(log), audit.Beside(log.Client()), slog.New(slog.DiscardHandler)
	deps.Rules = deadletters.Rules{Catalogue: messaging.DefaultCatalogue(), MaxEventBytes: messaging.DefaultMaxEventBytes}
	api, err := admin.New(deps, func() admin.Access { return admin.Access{Reached: true} })
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	api.Register(mux)
	return mux
}

// get asks for a page.
func get(t *testing.T, mux *http.ServeMux, path string, into any) {
	t.Helper()
	answered(t, mux, httptest.NewRequestWithContext(t.Context(), http.MethodGet, admin.Prefix+path, nil), http.StatusOK, into)
}

// change returns the request of a change.
func change(t *testing.T, path, body string) *http.Request {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, admin.Prefix+path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	return request
}

// answered sends a request, checks the status, and decodes the answer.
func answered(t *testing.T, mux *http.ServeMux, request *http.Request, status int, into any) {
	t.Helper()
	request.Host = "127.0.0.1"
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	if answer.Code != status {
		t.Fatalf("%s %s: %d %s", request.Method, request.URL, answer.Code, answer.Body)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
		t.Fatalf("%s %s: %v: %s", request.Method, request.URL, err, answer.Body)
	}
}
