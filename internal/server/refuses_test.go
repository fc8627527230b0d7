package server_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
)

// The start refuses what the commands that check settings refuse, as the same error.
func TestStartRefusesWhatTheChecksRefuse(t *testing.T) {
	t.Parallel()
	for setting, value := range map[string]string{"HOST": "192.0.2.1", "NATS_LISTEN": "192.0.2.1:4222", "ADMIN_ADDR": "192.0.2.1:9000", "DATA_DIR": "/proc/no-such-process"} {
		environ := map[string]string{"HOST": "127.0.0.1", "PORT": "0", "DATA_DIR": t.TempDir()}
		environ[setting] = value
		cfg, err := config.Load(environ)
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.CheckMachine(); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s=%s is not refused by the checks: %v", setting, value, err)
		}
		if _, err := server.Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s=%s is not refused by the start: %v", setting, value, err)
		}
	}
}
