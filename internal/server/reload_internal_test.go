package server

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/fanout/gateway"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit"
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

// TestReloadWhileThePortIsSecured: a reload may come before the start has read the
// certificate, which the race detector checks, and later ones read it again.
func TestReloadWhileThePortIsSecured(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("gateway")
	cfg, err := config.Load(map[string]string{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key})
	if err != nil {
		t.Fatal(err)
	}
	app := &App{cfg: cfg, catalogue: new(messaging.Catalogue), logger: slog.New(slog.DiscardHandler)}
	if app.certificates, err = newCertificates(prometheus.NewRegistry()); err != nil {
		t.Fatal(err)
	}
	reload := func() error { return app.Reload(t.Context(), cfg, func(slog.Level) {}) }
	reloaded := make(chan error, 1)
	go func() { reloaded <- reload() }()
	if _, err := app.secure(nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-reloaded, reload()); err != nil {
		t.Fatal(err)
	}
}

// TestReloadOfWhatIsOpen: what this machine may do, and the warnings, follow the settings in
// force.
func TestReloadOfWhatIsOpen(t *testing.T) {
	t.Parallel()
	load := func(token string) config.Config {
		t.Helper()
		cfg, err := config.Load(map[string]string{"INTERNAL_TOKEN": token, "SOCKET_CLIENT_ORIGIN": "*"})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	var log bytes.Buffer
	app := &App{cfg: load("an internal token"), catalogue: new(messaging.Catalogue), logger: slog.New(slog.NewTextHandler(&log, nil))}
	for _, token := range []string{"", "another internal token", ""} {
		log.Reset()
		if err := app.Reload(t.Context(), load(token), func(slog.Level) {}); err != nil {
			t.Fatal(err)
		}
		if got := app.operators(); got != (operators{token: token, local: token == ""}) {
			t.Errorf("with the token %q: %+v", token, got)
		}
		if !strings.Contains(log.String(), "every page of every site may follow every job") {
			t.Errorf("no warning at the reload: %s", &log)
		}
	}
}
