package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// write writes a file of its own folder and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestSecretsFromFiles: each secret may stand in a file, and only in one place.
func TestSecretsFromFiles(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(map[string]string{
		"REDIS_URL_FILE":      write(t, "redis", "redis://u:pw@127.0.0.1:6379/2\n"),
		"INTERNAL_TOKEN_FILE": write(t, "token", "0123456789abcdef\r\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.RedisURL != "redis://u:pw@127.0.0.1:6379/2" || cfg.InternalToken != "0123456789abcdef" {
		t.Errorf("got %q and %q", cfg.RedisURL, cfg.InternalToken)
	}
	listed := false
	for _, setting := range cfg.Settings() {
		listed = listed || setting.Name == "REDIS_URL_FILE" && strings.HasSuffix(setting.Value, "/redis")
		if strings.Contains(setting.Value, "pw") || strings.Contains(setting.Value, "0123456789abcdef") {
			t.Errorf("%s shows a secret: %s", setting.Name, setting.Value)
		}
	}
	if !listed {
		t.Error("the file of REDIS_URL is not listed")
	}
	for name, environ := range map[string]map[string]string{
		"absent": {"REDIS_URL_FILE": "/nonexistent"},
		"empty":  {"REDIS_URL_FILE": write(t, "empty", "\n")},
		"both":   {"REDIS_URL_FILE": write(t, "redis", "redis://a"), "REDIS_URL": "redis://b"},
		"wrong":  {"INTERNAL_TOKEN_FILE": write(t, "token", "short")},
		"a flag": {"CONFIG_FILE": write(t, "f.toml", `REDIS_URL_FILE = "/nonexistent"`)},
	} {
		if _, err := config.Load(environ); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: error %v, want ErrConfig", name, err)
		}
	}
}

// TestSettingsFile: the environment goes before the file, and the file before the
// defaults; what is wrong with the file is named without what stands in it.
func TestSettingsFile(t *testing.T) {
	t.Parallel()
	file := write(t, "realtime.toml", `
PORT = 4000
SOCKET_MAX_CONNECTIONS = 7
SOCKET_REQUIRE_ORIGIN = true
SOCKET_CLIENT_ORIGIN = ["https://a.example", "https://b.example"]
SHUTDOWN_TIMEOUT = "20s"
REDIS_URL = "redis://file:6379"
`)
	cfg, err := config.Load(map[string]string{
		"CONFIG_FILE": file, "SOCKET_MAX_CONNECTIONS": "9", "REDIS_URL_FILE": write(t, "redis", "redis://environment:6379"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Port != 4000 || cfg.MaxConns != 9 || !cfg.NeedOrigin || cfg.Origins != "https://a.example,https://b.example" ||
		cfg.ShutdownTimeout.Seconds() != 20 || cfg.RedisURL != "redis://environment:6379" || cfg.CatchUp != 250 {
		t.Errorf("got %+v", cfg)
	}
	for text, want := range map[string]string{
		"PORT = ":                       "line 1 is not TOML",
		"INTERNAL_TOKEN = hunter2":      "line 1 is not TOML",
		"NO_SUCH_SETTING = 1":           `no setting "NO_SUCH_SETTING"`,
		"port = 1":                      `no setting "port"`,
		`CONFIG_FILE = "x"`:             `no setting "CONFIG_FILE"`,
		"[PORT]\nx = 1":                 "PORT: want a string, a number",
		"PORT = 123456":                 `PORT is "123456"`,
		"SOCKET_CLIENT_ORIGIN = [1, 2]": "SOCKET_CLIENT_ORIGIN: want a string",
		"A=" + strings.Repeat("1", 2e6): "larger than",
	} {
		_, err := config.Load(map[string]string{"CONFIG_FILE": write(t, "f.toml", text)})
		if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.40q: error %v, want one that says %q", text, err, want)
		}
	}
}

// TestWrittenSettingsFile: the file that is written is taken with every comment as it is,
// and with every default taken out of its comment.
func TestWrittenSettingsFile(t *testing.T) {
	t.Parallel()
	without, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := config.SettingsFile()
	var uncommented strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") && strings.Contains(line, " = ") {
			line = line[1:]
		}
		uncommented.WriteString(line)
	}
	for name, text := range map[string]string{"as it is": text, "uncommented": uncommented.String()} {
		cfg, err := config.Load(map[string]string{"CONFIG_FILE": write(t, "f.toml", text)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, setting := range cfg.Settings() {
			if want := without.Settings()[i].Value; setting.Value != want && setting.Name != "CONFIG_FILE" {
				t.Errorf("%s: %s is %q, want %q", name, setting.Name, setting.Value, want)
			}
		}
	}
}
