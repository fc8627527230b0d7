package backends

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
)

// monitored starts a NATS server and returns the addresses of its ports; that for monitoring
// is empty if it has none.
func monitored(t *testing.T, options natsd.Options) (clients, monitoring string) {
	t.Helper()
	options.JetStream, options.StoreDir = true, t.TempDir()
	server := logkit.Server(t, options)
	if address := server.MonitorAddr(); address != nil {
		monitoring = "http://" + address.String()
	}
	return server.ClientURL(), monitoring
}

// What servers say of their sync interval is a risk, and what they do not say is not known.
func TestSyncRisk(t *testing.T) {
	t.Parallel()
	clients, always := monitored(t, natsd.Options{ServerName: "careful", HTTPHost: "127.0.0.1", HTTPPort: -1, SyncAlways: true})
	_, interval := monitored(t, natsd.Options{ServerName: "quick", HTTPHost: "127.0.0.1", HTTPPort: -1, SyncInterval: 10 * time.Second})
	other, _ := monitored(t, natsd.Options{ServerName: "silent"})
	silent := strings.Replace(other, "nats://", "http://", 1) // No port for monitoring: nothing there speaks HTTP.
	for _, test := range []struct {
		name, monitoring string
		risk, unknown    string
	}{
		{"each write", always, "", ""},
		{"an interval", interval, `"quick" syncs every 10s`, ""},
		{"one of two", always + ", " + interval + "/", `"quick" syncs every 10s`, ""},
		{"no answer", silent, "", silent},
		{"no answer from one", silent + "," + interval, `"quick" syncs every 10s`, silent},
		{"another page", always + "/nowhere", "", "404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			servers, err := OpenNATS(t.Context(), config.Config{NATSURL: clients, NATSMonitoring: test.monitoring}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(servers.Conn().Close)
			risk, err := servers.SyncRisk(t.Context())
			if (risk == "") != (test.risk == "") || !strings.Contains(risk, test.risk) {
				t.Errorf("risk %q, want %q", risk, test.risk)
			}
			if (err == nil) != (test.unknown == "") || err != nil && !strings.Contains(err.Error(), test.unknown) {
				t.Errorf("error %v, want %q", err, test.unknown)
			}
		})
	}
}

// Without the setting, the conventional port of each server is asked.
func TestMonitoringPortsByConvention(t *testing.T) {
	t.Parallel()
	clients, _ := monitored(t, natsd.Options{})
	servers, err := OpenNATS(t.Context(), config.Config{NATSURL: clients}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Conn().Close)
	if places := servers.monitoring(); len(places) != 1 || places[0] != "http://127.0.0.1:8222" {
		t.Errorf("%q", places)
	}
}
