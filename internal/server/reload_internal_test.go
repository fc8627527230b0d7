package server

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/messaging"
)

// TestReloadComparesWithWhatIsInEffect: a setting that takes a restart is reported at each
// reload for as long as the process runs without it, and no longer once it is put back.
func TestReloadComparesWithWhatIsInEffect(t *testing.T) {
	t.Parallel()
	load := func(limit, origin string) config.Config {
		t.Helper()
		cfg, err := config.Load(map[string]string{"SOCKET_MAX_MESSAGE_BYTES": limit, "SOCKET_CLIENT_ORIGIN": origin})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const first, second = "https://first.example", "https://second.example"
	const changed, restart = `"a setting was changed" setting=`, `"a setting takes a restart, and is not changed" setting=`
	var log bytes.Buffer
	app := &App{cfg: load("5000", first), catalogue: new(messaging.Catalogue), logger: slog.New(slog.NewTextHandler(&log, nil))}
	for i, step := range []struct {
		next config.Config
		want []string
	}{
		{load("6000", first), []string{restart + "SOCKET_MAX_MESSAGE_BYTES"}},
		{load("6000", first), []string{restart + "SOCKET_MAX_MESSAGE_BYTES"}},
		{load("6000", second), []string{changed + "SOCKET_CLIENT_ORIGIN", restart + "SOCKET_MAX_MESSAGE_BYTES"}},
		{load("5000", second), nil},
		{load("5000", first), []string{changed + "SOCKET_CLIENT_ORIGIN"}},
	} {
		log.Reset()
		if err := app.Reload(t.Context(), step.next, func(slog.Level) {}); err != nil {
			t.Fatalf("step %d is not applied: %v", i, err)
		}
		var got []string
		for line := range strings.Lines(log.String()) {
			if _, told, found := strings.Cut(strings.TrimSpace(line), "msg="); found && strings.Contains(told, "setting=") {
				got = append(got, told)
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("step %d reports %q, want %q", i, got, step.want)
		}
	}
}

// TestReloadDuringTheStart: origins that were reloaded before the gateway is made are its
// own, and a reload that cannot be applied changes nothing in the comparison.
func TestReloadDuringTheStart(t *testing.T) {
	t.Parallel()
	const first, second = "https://first.example", "https://second.example"
	cfg, err := config.Load(map[string]string{"SOCKET_CLIENT_ORIGIN": first})
	if err != nil {
		t.Fatal(err)
	}
	app := &App{cfg: cfg, catalogue: new(messaging.Catalogue), logger: slog.New(slog.DiscardHandler)}
	next := cfg
	next.Origins = second
	if err := app.Reload(t.Context(), next, func(slog.Level) {}); err != nil {
		t.Fatal(err)
	}
	bad := cfg
	bad.Origins = "no origin"
	if app.Reload(t.Context(), bad, func(slog.Level) {}) == nil {
		t.Error("a setting that cannot be applied was")
	}
	if _, changed, _, _ := config.Reloaded(app.inForce(), next); len(changed) > 0 {
		t.Errorf("%q differ from what is in effect", changed)
	}
	origins, err := cfg.AllowedOrigins() // what the start has read
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(nil, messaging.DefaultCatalogue(), gateway.Policy{Limits: cfg.Limits(), Origins: origins, CatchUpLimit: 1}, nil, nil, app.logger, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	app.reloads.serve(g)
	if g.AllowOrigin(first, "") || !g.AllowOrigin(second, "") {
		t.Error("the gateway has the origins of the start")
	}
}
