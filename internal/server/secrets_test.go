package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/server"
	"github.com/letswriteabook/realtime/operations/examine"
)

// secretMarker is the part of a secret that must not be shown.
const secretMarker = "Qz7MARKER"

// secretSettings are the settings that hold a secret, in place of %s.
var secretSettings = []struct{ name, value string }{
	{"REDIS_URL", "redis://:%s@127.0.0.1:1"},
	{"REDIS_URL", "redis://user:%s@127.0.0.1:1/0"},
	{"REDIS_URL", "redis://127.0.0.1:1?password=%s"},
	{"MONGODB_URI", "mongodb://user:%s@127.0.0.1:1/db?serverSelectionTimeoutMS=1"},
	{"MONGODB_URI", "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=1&authMechanismProperties=A:%s"},
	{"NATS_URL", "nats://u:%s@127.0.0.1:1,nats://u:b@127.0.0.1:1"},
	{"NATS_URL", "nats://%s@127.0.0.1:1"},
	{"AUTH_JWKS_URL", "https://u:%s@127.0.0.1:1/keys"},
	{"AUTH_JWKS_URL", "http://127.0.0.1:1/keys?token=%s"},
	{"INTERNAL_TOKEN", "%s"},
	{"AUTH_HMAC_SECRET", "%s"},
	{"RECEIPT_SECRET", "%s"},
	{"MONGODB_URI", "mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=1&tls=true&tlsCertificateKeyFilePassword=%s"},
	{"NATS_URL", "nats://u:b@127.0.0.1:1,nats://u:%s@127.0.0.1:1"},
	{"REDIS_URL", "rediss://user:%s@127.0.0.1:1"},
	{"REDIS_SENTINEL_PASSWORD", "%s"},
	{"NATS_PASSWORD", "%s"},
	{"NATS_TOKEN", "%s"},
	{"ADMIN_READ_TOKEN", "%s"},
	{"ACME_DIRECTORY_URL", "https://u:%s@127.0.0.1:1/directory"},
	{"ACME_DIRECTORY_URL", "https://127.0.0.1:1/directory?key=%s"},
	{"NATS_MONITORING_URL", "http://u:%s@127.0.0.1:1"},
	{"NATS_MONITORING_URL", "http://127.0.0.1:1/?key=%s"},
	{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:%s@127.0.0.1:1"},
	{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces?key=%s"},
	{"OTEL_EXPORTER_OTLP_HEADERS", "authorization=%s"},
	{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=%s"},
}

// TestEverySecretSettingIsTried: a setting that is marked as a secret is among those that
// the tests here look for, and so is one that holds an address with a password.
func TestEverySecretSettingIsTried(t *testing.T) {
	t.Parallel()
	settings := reflect.TypeFor[config.Config]()
	for i := range settings.NumField() {
		name, secret := settings.Field(i).Tag.Get("env"), settings.Field(i).Tag.Get("secret") != ""
		address := strings.HasSuffix(name, "_URL") && name != "PUBLIC_URL" || strings.HasSuffix(name, "_URI")
		named := slices.ContainsFunc([]string{"SECRET", "TOKEN", "PASSWORD"}, func(part string) bool {
			return strings.Contains(name, part) && !strings.HasSuffix(name, "_FILE")
		})
		tried := slices.ContainsFunc(secretSettings, func(s struct{ name, value string }) bool { return s.name == name })
		switch {
		case (address || named) && !secret:
			t.Errorf("%s is not marked as a secret", name)
		case secret && !tried:
			t.Errorf("%s is a secret and is not looked for", name)
		}
	}
}

// TestSecretFileIsNotShown: what stands in the file that a setting names is shown as
// little as a secret in a setting.
func TestSecretFileIsNotShown(t *testing.T) {
	t.Parallel()
	for _, content := range []string{secretMarker, strings.Repeat("x", 32) + secretMarker, secretMarker + "\n\n" + strings.Repeat("x", 32)} {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, shown := configured("AUTH_HMAC_SECRET_FILE", "%s", file)
		if strings.Contains(shown, secretMarker) || !strings.Contains(shown, file) {
			t.Errorf("shown is %s", shown)
		}
	}
}

// FuzzSecretsAreNotShown looks for a secret in the errors about the settings and in
// the list of them, whichever characters it has.
func FuzzSecretsAreNotShown(f *testing.F) {
	for i := range secretSettings {
		for _, special := range []string{"", ",", "?", "@", "/", "#", "%", ":", "&", "1,2", "12/", "12?", "\n", "a@b,"} {
			f.Add(i, special, "")
			f.Add(i, "", special)
		}
	}
	f.Fuzz(func(t *testing.T, setting int, left, right string) {
		if setting < 0 || strings.Contains(left+right, "://") {
			t.Skip("an address of its own, which the drivers take for a further server")
		}
		s := secretSettings[setting%len(secretSettings)]
		_, shown := configured(s.name, s.value, left+secretMarker+right)
		if strings.Contains(shown, secretMarker) {
			t.Errorf("%s %q with %q is shown: %s", s.name, s.value, left+secretMarker+right, shown)
		}
	})
}

// configured returns the settings and everything that is said about them.
func configured(name, value, secret string) (cfg config.Config, shown string) {
	environ := map[string]string{name: strings.Replace(value, "%s", secret, 1), "HOST": "127.0.0.1", "PORT": "0"}
	if strings.HasPrefix(name, "AUTH_") {
		environ["AUTH_ISSUER"], environ["AUTH_AUDIENCE"] = "i", "a"
	}
	cfg, err := config.Load(environ)
	settings, _ := json.Marshal(cfg.Settings()) // strings only
	return cfg, fmt.Sprint(err, string(settings), cfg.Warnings())
}

// A secret is in no error and in no log line of a gateway that cannot reach its
// backends, and in no finding of the doctor.
func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	for i, s := range secretSettings {
		for _, special := range []string{"", ",", "?", "@", "/", "#", "%", "1,"} {
			t.Run(fmt.Sprint(i, s.name, special), func(t *testing.T) {
				t.Parallel()
				cfg, _ := configured(s.name, s.value, special+secretMarker+special+strings.Repeat("x", 32))
				cfg.DataDir, cfg.NATSSync, cfg.LogLevel = t.TempDir(), "10s", "debug"
				var written strings.Builder
				logger := slog.New(slog.NewJSONHandler(&written, &slog.HandlerOptions{Level: slog.LevelDebug}))
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // what is opened is closed again at once
				gateway, err := server.Open(t.Context(), cfg, logger)
				if err == nil {
					err = gateway.Run(ctx)
				}
				report, _ := json.Marshal(examine.Installation(t.Context(), cfg, nil, nil)) // strings and numbers only
				for _, shown := range []string{fmt.Sprint(err), written.String(), string(report)} {
					if strings.Contains(shown, secretMarker) {
						t.Errorf("the secret is in %s", shown)
					}
				}
			})
		}
	}
}
