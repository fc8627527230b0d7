package engineio_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

// The id of a session serves the client that has opened it: from its origin, and with
// its token where one is sent.
func TestSessionBelongsToItsOpener(t *testing.T) {
	t.Parallel()
	const page, other, own = "https://book.test", "https://evil.test", "https://own.test"
	tests := []struct {
		name   string
		opened http.Header
		later  http.Header
		taken  bool
	}{
		{name: "no headers", taken: true},
		{name: "the same origin", opened: http.Header{"Origin": {page}}, later: http.Header{"Origin": {page}}, taken: true},
		{name: "another origin", opened: http.Header{"Origin": {page}}, later: http.Header{"Origin": {other}}},
		{name: "no origin any more", opened: http.Header{"Origin": {page}}},
		{name: "null", opened: http.Header{"Origin": {page}}, later: http.Header{"Origin": {"null"}}},
		{name: "a page's own service", later: http.Header{"Origin": {own}}, taken: true},
		{name: "a page's own service behind a proxy", later: http.Header{"Origin": {page}, "Sec-Fetch-Site": {"same-origin"}}, taken: true},
		{name: "a foreign page on a page's own service", later: http.Header{"Origin": {other}}},
		{name: "an image on a foreign page", later: http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		{name: "the same token", opened: http.Header{"Authorization": {"Bearer a"}}, later: http.Header{"Authorization": {"Bearer a"}}, taken: true},
		{name: "no token any more", opened: http.Header{"Authorization": {"Bearer a"}}, taken: true},
		{name: "another token", opened: http.Header{"Authorization": {"Bearer a"}}, later: http.Header{"Authorization": {"Bearer b"}}},
		{name: "a token at last", later: http.Header{"Authorization": {"Bearer b"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, options{configure: func(cfg *engineio.Config) {
				cfg.AllowOrigin = func(origin, _ string) bool { return origin == own }
			}})
			status, body := s.do(http.MethodGet, "", test.opened, "")
			want(t, "handshake", status, http.StatusOK)
			id, o := openID(t, body), s.next()
			accepted, upgraded := http.StatusBadRequest, http.StatusBadRequest
			if test.taken {
				accepted, upgraded = http.StatusOK, http.StatusSwitchingProtocols
			}
			status, body = s.do(http.MethodPost, id, test.later, "4hello")
			want(t, "a POST", status, accepted)
			if !test.taken && !strings.Contains(body, "Session ID unknown") {
				t.Errorf("the POST is answered with %s", body)
			}
			if err := o.session.Send(engineio.TextMessage([]byte("secret"))); err != nil {
				t.Fatal(err)
			}
			header := test.later.Clone()
			conn, response, err := s.dialer.Dial(s.url("ws", "EIO=4&transport=websocket&sid="+id), header)
			if err == nil {
				_ = conn.Close()
			}
			want(t, "an upgrade", response.StatusCode, upgraded)
			status, body = s.do(http.MethodGet, id, test.later, "")
			want(t, "a poll", status, accepted)
			if strings.Contains(body, "secret") != test.taken {
				t.Errorf("the poll brings %q", body)
			}
			if test.taken {
				return
			}
			// The opener goes on.
			status, body = s.do(http.MethodGet, id, test.opened, "")
			if status != http.StatusOK || !strings.Contains(body, "secret") {
				t.Errorf("the opener's poll is answered with %d %q", status, body)
			}
		})
	}
}

// A session's id is worth its token, and stands in no log.
func TestSessionIDIsNotLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // read after Shutdown
	opened := make(chan *engineio.Session, 1)
	server, err := engineio.NewServer(engineio.DefaultConfig(), func(session *engineio.Session) engineio.Receiver {
		opened <- session
		panic("of the test")
	}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/engine.io/?EIO=4&transport=polling", nil))
	session := receive(t, opened, "a session")
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); !strings.Contains(text, session.Tag()) || strings.Contains(text, session.ID()) {
		t.Errorf("the log has the session's id, or not its tag: %s", text)
	}
}

// do sends one request with these headers, without a session for an empty id.
func (s *stage) do(method, id string, header http.Header, body string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url("http", "EIO=4&transport=polling&sid="+id), strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	return s.send(request)
}
