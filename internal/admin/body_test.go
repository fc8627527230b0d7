package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/admin"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// TestSlowBodiesHoldNoPlace: more callers than may work at once have begun to send the body
// of a change. Other requests are answered meanwhile, and the bodies are bounded in number
// and in time.
func TestSlowBodiesHoldNoPlace(t *testing.T) {
	t.Parallel()
	log := logkit.Open(t, logkit.Conn(t))
	intake := make(chan struct{})
	server := httptest.NewServer(serve(t, log, admin.Deps{
		// The intake reads the bodies of events, within bounds of its own.
		Publish: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			intake <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
		}),
	}))
	t.Cleanup(server.Close)
	begin := func(path string) net.Conn {
		t.Helper()
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{", admin.Prefix+path)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for range admin.MaxAtOnce + 1 {
		begin("/events")
		select {
		case <-intake:
		case <-time.After(time.Minute):
			t.Fatal("an event does not reach the intake while other bodies are on their way")
		}
	}
	for range admin.MaxBodies {
		begin("/letters/purge")
	}
	// One body too many shows that the others are being read.
	purge := func() (status int, refused refusal) {
		t.Helper()
		answer, err := http.Post(server.URL+admin.Prefix+"/letters/purge", "application/json", strings.NewReader(`{"sequences":[99]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if err := json.NewDecoder(answer.Body).Decode(&refused); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, refused
	}
	for tooMany := false; !tooMany; {
		status, refused := purge()
		tooMany = strings.Contains(refused.Message, fmt.Sprintf("the bodies of %d requests", admin.MaxBodies))
		if !tooMany && status != http.StatusNotFound && refused.Code != "rate" {
			t.Fatalf("a change beside slow ones: %d %+v", status, refused)
		}
	}
	answer, err := http.Get(server.URL + admin.Prefix + "/jobs")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a read beside slow changes: %s", answer.Status)
	}
}

// TestSlowBodyIsRefused: a body that does not arrive in time changes nothing.
func TestSlowBodyIsRefused(t *testing.T) {
	t.Parallel()
	mux := serve(t, logkit.Open(t, logkit.Conn(t)), admin.Deps{})
	request := change(t, "/letters/purge", "")
	request.Body = io.NopCloser(late{})
	var refused refusal
	answered(t, mux, request, http.StatusRequestTimeout, &refused)
	if refused.Code != "slow-body" {
		t.Errorf("%+v", refused)
	}
	request = change(t, "/letters/purge", "")
	request.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"sequences":`), broken{}))
	answered(t, mux, request, http.StatusBadRequest, &refused)
	if refused.Code != "incomplete-body" {
		t.Errorf("%+v", refused)
	}
}

// late is a body whose deadline has passed, and broken one that breaks off.
type (
	late   struct{}
	broken struct{}
)

func (late) Read([]byte) (int, error)   { return 0, os.ErrDeadlineExceeded }
func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
