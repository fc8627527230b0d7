package gatewaykit

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// patience bounds the start on a busy machine.
const patience = 30 * time.Second

// Gateway is a gateway that runs until the end of its test.
type Gateway struct {
	URL   string // without a slash at the end
	Addr  string // host and port of the public address
	Redis *testkit.Redis
}

// Start runs a gateway with the given environment variables and with those that put it on a
// free port. It returns when the gateway is ready.
func Start(t testing.TB, settings map[string]string) *Gateway {
	t.Helper()
	store := testkit.StartRedis(t)
	environ := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "REDIS_URL": store.URL(), "DATA_DIR": t.TempDir(), "NATS_SYNC": "10s",
		"DRAIN_SECONDS": "0", "SOCKET_CLIENT_ORIGIN": "*",
	}
	maps.Copy(environ, settings)
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := server.Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }() // ends with ctx
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run the gateway: %v", err)
		}
	})
	g := &Gateway{URL: "http://" + gateway.Addr().String(), Addr: gateway.Addr().String(), Redis: store}
	pages := g.URL
	if cfg.AdminAddr != "" {
		pages = "http://" + cfg.AdminAddr
	}
	awaitReady(t, pages)
	return g
}

func awaitReady(t testing.TB, pages string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		response, err := client.Get(pages + "/health/ready")
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("the gateway is not ready")
}
