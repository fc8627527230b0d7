package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/letswriteabook/realtime/guardrails"
)

// TestHostileClientsAreSlowedDown: while the processors are busy, a client with very many
// requests, short connections or short memberships of the namespace waits with its requests
// and handshakes, and is read more slowly. Others are not.
func TestHostileClientsAreSlowedDown(t *testing.T) {
	t.Parallel()
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	request := func(address string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/ws/?EIO=4&transport=websocket", nil)
		r.RemoteAddr = address
		return r
	}
	for name, once := range map[string]func(t *testing.T, s *stage) func(){
		"requests": func(_ *testing.T, s *stage) func() {
			handler := s.gateway.Paced(nothing)
			return func() { handler.ServeHTTP(httptest.NewRecorder(), request("127.0.0.1:1")) }
		},
		"connections": func(_ *testing.T, s *stage) func() {
			return func() { s.gateway.NewIntake(request("127.0.0.1:1")).End() }
		},
		"memberships": func(t *testing.T, s *stage) func() {
			c := s.connect()
			return func() {
				if err := c.Send("41"); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Connect(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		for _, test := range []struct {
			name string
			busy func() bool
			dry  bool
			want bool
		}{
			{"busy", func() bool { return true }, false, true},
			{"idle", func() bool { return false }, false, false},
			{"dry run", func() bool { return true }, true, false},
		} {
			t.Run(name+", "+test.name, func(t *testing.T) {
				t.Parallel()
				s := setup(t, options{busy: test.busy, limits: guardrails.Limits{DryRun: test.dry, BytesPerSecond: 1 << 20, ByteBurst: 4 << 20}}).in(t)
				handshake := func(address string) (slowed bool) {
					before := s.gateway.Slowed()
					s.gateway.ShareSockets(nothing).ServeHTTP(httptest.NewRecorder(), request(address))
					return s.gateway.Slowed() > before
				}
				flood := once(t, s)
				for range 301 {
					flood()
				}
				for test.want && !handshake("127.0.0.1:1") { // the rate has given back some
					flood()
				}
				if handshake("192.0.2.1:1") {
					t.Error("another client was slowed down")
				}
				if slowed := handshake("127.0.0.1:1"); slowed != test.want {
					t.Errorf("the handshake was slowed down: %t, want %t", slowed, test.want)
				}
				for address, slow := range map[string]bool{"192.0.2.1:1": false, "127.0.0.1:1": test.want} {
					if wait := s.gateway.NewIntake(request(address)).Spend(1 << 20); (wait > 0) != slow {
						t.Errorf("%s waits %t after 1 MiB, want %t", address, wait > 0, slow)
					}
				}
				if test.dry && testutil.ToFloat64(s.gateway.Throttled(true)) > 0 {
					t.Error("bytes counted eightfold in a dry run")
				}
			})
		}
	}
}
