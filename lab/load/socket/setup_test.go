package socket_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/testkit/gatewaykit"
	"github.com/letswriteabook/realtime/messaging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should happen at once, on a machine that is busy.
const patience = 30 * time.Second

// service is a whole gateway on its own log and Redis.
type service struct {
	t     *testing.T
	url   string
	redis *redis.Client
	count int
}

// start runs a gateway with these settings until the test ends.
func start(t *testing.T, settings map[string]string) *service {
	t.Helper()
	environ := map[string]string{"SOCKET_CLIENT_ORIGIN": "http://allowed"}
	maps.Copy(environ, settings)
	gateway := gatewaykit.Start(t, environ)
	return &service{t: t, url: gateway.URL, redis: gateway.Redis.Client()}
}

// publish publishes n events of a job, numbered from 1 on.
func (s *service) publish(job string, n int) {
	s.t.Helper()
	for range n {
		s.count++
		text := fmt.Sprintf(`{"kind":"domain","jobId":%q,"id":"%d","event":{"type":"step","occurredAt":"2026-01-01T00:00:00Z"}}`, job, s.count)
		if err := s.redis.Publish(s.t.Context(), messaging.EventsChannel, text).Err(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// empty waits until the gateway has no connection.
func (s *service) empty() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(s.url + "/internal/realtime/metrics")
		if err != nil {
			s.t.Fatal(err)
		}
		var now struct{ TotalConnections *int }
		err = json.NewDecoder(response.Body).Decode(&now)
		_ = response.Body.Close()
		switch {
		case err != nil || now.TotalConnections == nil:
			s.t.Fatalf("metrics: %s, %v", response.Status, err)
		case *now.TotalConnections == 0:
			return
		case time.Now().After(deadline):
			s.t.Fatalf("%d connections are left", *now.TotalConnections)
		}
	}
}
