package server

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/internal/contain"
)

// A handler that aborts its answer, as net/http lets it, closes the connection. That is no
// defect: it is neither counted nor logged.
func TestAbortedAnswerIsNoPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // it is read after the server has ended
	panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total"})
	guard := contain.New(panics, slog.New(slog.NewTextHandler(&log, nil)))
	web := httptest.NewServer(contained(guard, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	response, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("the answer %q was not cut off", text)
	}
	_ = response.Body.Close()
	web.Close()
	if n := testutil.ToFloat64(panics); n != 0 || log.Len() > 0 {
		t.Errorf("%v panics are counted, logged %q", n, &log)
	}
}

// A request that panics loses its connection; others are answered. Each is counted, and
// the first one logged.
func TestPanicInARequestClosesItsConnectionOnly(t *testing.T) {
	t.Parallel()
	var log, serverLog bytes.Buffer // each is read after the server has ended
	panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "panics_total"})
	guard := contain.New(panics, slog.New(slog.NewTextHandler(&log, nil)))
	web := httptest.NewUnstartedServer(contained(guard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			panic("for the test")
		}
		_, _ = io.WriteString(w, "good")
	})))
	web.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(&serverLog, nil), slog.LevelError)
	web.Start()
	for range 2 {
		if response, err := web.Client().Get(web.URL + "/bad"); err == nil {
			_ = response.Body.Close()
			t.Errorf("answered with %s", response.Status)
		}
		response, err := web.Client().Get(web.URL + "/good")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	web.Close()
	// The client may send a request without a body again when its connection ends.
	if n := testutil.ToFloat64(panics); n < 2 {
		t.Errorf("%v panics are counted", n)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || serverLog.Len() > 0 {
		t.Errorf("%d lines, and of the server %q", n, serverLog.String())
	}
}
