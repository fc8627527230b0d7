package socket_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/app"
	"github.com/letswriteabook/realtime/internal/testkit"
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
	store := testkit.StartRedis(t)
	environ := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "REDIS_URL": store.URL(), "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s",
		"DRAIN_SECONDS": "0", "SOCKET_CLIENT_ORIGIN": "http://allowed",
	}
	for name, value := range settings {
		environ[name] = value
	}
	cfg, err := app.LoadConfig(environ)
	if err != nil {
		t.Fatal(err)
	}
	server, err := app.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run the gateway: %v", err)
		}
	})
	s := &service{t: t, url: "http://" + server.Addr().String(), redis: store.Client()}
	s.awaitReady()
	return s
}

func (s *service) awaitReady() {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	transport := &http.Transport{DisableKeepAlives: true}
	for {
		response, err := (&http.Client{Transport: transport}).Get(s.url + "/health/ready")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-timeout:
			s.t.Fatal("the gateway is not ready")
		}
	}
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
