package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

func TestLoadConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ map[string]string
		want    []string // parts of the error; none: the settings are good
	}{
		{name: "defaults"},
		{name: "everything", environ: map[string]string{
			"REDIS_URL": "rediss://user:secret@redis:6380/1", "MONGODB_URI": "mongodb+srv://mongo/novel", "NATS_URL": "nats://a:4222,tls://b:4222",
			"ROLES": "fanout", "NATS_SYNC": "250ms", "STREAM_REPLICAS": "3", "HOST": "::1", "SOCKET_CLIENT_ORIGIN": "*", "LOG_LEVEL": "DEBUG", "LOG_FORMAT": "text",
		}},
		{name: "not a number", environ: map[string]string{"PORT": "http"}, want: []string{`PORT is "http": want HTTP port`}},
		{name: "port out of range", environ: map[string]string{"PORT": "70000"}, want: []string{`PORT is "70000"`, "0 to 65535"}},
		{name: "not a boolean", environ: map[string]string{"SOCKET_REQUIRE_ORIGIN": "maybe"}, want: []string{`SOCKET_REQUIRE_ORIGIN is "maybe": want true or false`}},
		{name: "scheme of Redis", environ: map[string]string{"REDIS_URL": "localhost:6379"}, want: []string{"REDIS_URL", "redis[s]://"}},
		{name: "scheme of MongoDB", environ: map[string]string{"MONGODB_URI": "http://mongo"}, want: []string{"MONGODB_URI", "mongodb[+srv]://"}},
		{name: "one of the NATS servers", environ: map[string]string{"NATS_URL": "nats://a:4222,b:4222"}, want: []string{"NATS_URL"}},
		{name: "role", environ: map[string]string{"ROLES": "ingest,serve"}, want: []string{`ROLES is "ingest,serve"`, "project"}},
		{name: "sync", environ: map[string]string{"NATS_SYNC": "sometimes"}, want: []string{`NATS_SYNC is "sometimes"`, "always"}},
		{name: "negative sync", environ: map[string]string{"NATS_SYNC": "-1s"}, want: []string{"NATS_SYNC"}},
		{name: "replicas", environ: map[string]string{"STREAM_REPLICAS": "2"}, want: []string{"STREAM_REPLICAS", "1, 3 or 5"}},
		{name: "replicas without a cluster", environ: map[string]string{"STREAM_REPLICAS": "3"}, want: []string{"STREAM_REPLICAS", "NATS_URL"}},
		{name: "tiny stream", environ: map[string]string{"STREAM_MAX_BYTES": "5"}, want: []string{`STREAM_MAX_BYTES is "5"`}},
		{name: "age below the dedup window", environ: map[string]string{"STREAM_MAX_AGE": "1m"}, want: []string{"STREAM_MAX_AGE"}},
		{name: "huge events", environ: map[string]string{"MAX_EVENT_BYTES": "100000000"}, want: []string{"MAX_EVENT_BYTES"}},
		{name: "domain of two tokens", environ: map[string]string{"NATS_JS_DOMAIN": "a.b", "NATS_URL": "nats://a:4222"}, want: []string{`NATS_JS_DOMAIN is "a.b"`}},
		{name: "listen", environ: map[string]string{"NATS_LISTEN": "foo"}, want: []string{`NATS_LISTEN is "foo"`, "host:port"}},
		{name: "no subscriptions", environ: map[string]string{"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "0"}, want: []string{"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT", "1 or more"}},
		{name: "origin", environ: map[string]string{"SOCKET_CLIENT_ORIGIN": "localhost"}, want: []string{"SOCKET_CLIENT_ORIGIN"}},
		{name: "level", environ: map[string]string{"LOG_LEVEL": "loud"}, want: []string{"LOG_LEVEL", "debug, info, warn or error"}},
		{name: "all at once", environ: map[string]string{"PORT": "-1", "SOCKET_IDLE_TIMEOUT_MS": "-5"}, want: []string{"PORT", "SOCKET_IDLE_TIMEOUT_MS"}},
		{name: "all at once, not numbers", environ: map[string]string{"PORT": "a", "MAX_EVENT_BYTES": "b"}, want: []string{"PORT", "MAX_EVENT_BYTES"}},
		{name: "payload below the least", environ: map[string]string{"SOCKET_MAX_PAYLOAD_BYTES": "1023"}, want: []string{`SOCKET_MAX_PAYLOAD_BYTES is "1023"`, "1024 to 67108864"}},
		{name: "outgoing below the least", environ: map[string]string{"SOCKET_MAX_OUTGOING_BYTES": "16383"}, want: []string{`SOCKET_MAX_OUTGOING_BYTES is "16383"`}},
		{name: "handshake", environ: map[string]string{"SOCKET_HANDSHAKE_TIMEOUT": "0"}, want: []string{"SOCKET_HANDSHAKE_TIMEOUT", "100ms or more"}},
		{name: "canary, too often", environ: map[string]string{"CANARY_INTERVAL": "1ms"}, want: []string{"CANARY_INTERVAL", "100ms to 1h"}},
		{name: "canary, hardly ever", environ: map[string]string{"CANARY_INTERVAL": "61m"}, want: []string{"CANARY_INTERVAL", "100ms to 1h"}},
		{name: "connect", environ: map[string]string{"SOCKET_CONNECT_TIMEOUT": "1ms"}, want: []string{"SOCKET_CONNECT_TIMEOUT", "100ms or more"}},
		{name: "a rate beyond counting", environ: map[string]string{"SOCKET_MESSAGES_PER_SECOND": "1000001"}, want: []string{"SOCKET_MESSAGES_PER_SECOND", "at most 1000000"}},
		{name: "environment", environ: map[string]string{"ENVIRONMENT": "prod"}, want: []string{`ENVIRONMENT is "prod"`, "development or production"}},
		{name: "a password is not shown", environ: map[string]string{"REDIS_URL": "http://user:hunter2@redis"}, want: []string{"REDIS_URL", "xxxxx"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(test.environ)
			if test.want == nil {
				if err != nil {
					t.Fatalf("good settings are refused: %v", err)
				}
				return
			}
			if !errors.Is(err, config.ErrInvalid) {
				t.Fatalf("error %v, want one that matches ErrInvalid", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q shows a password", err)
			}
		})
	}
}

func TestSettingsHidePasswords(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(map[string]string{
		"REDIS_URL":   "redis://worker:hunter2@redis:6379?client_name=hunter2",
		"MONGODB_URI": "mongodb://reader:hunter2@a:27017,b:27017/novel",
		"NATS_URL":    "nats://hunter2@a:4222,nats://gate:hunter2@b:4222",
	})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, setting := range cfg.Settings() {
		if setting.Name == "" || setting.Meaning == "" || names[setting.Name] {
			t.Errorf("setting %+v has no name or meaning, or is there twice", setting)
		}
		names[setting.Name] = true
		if strings.Contains(setting.Value, "hunter2") {
			t.Errorf("%s shows a password: %s", setting.Name, setting.Value)
		}
	}
	for _, name := range []string{"PORT", "REDIS_URL", "MONGODB_URI", "NATS_URL", "SOCKET_CLIENT_ORIGIN", "SOCKET_CATCH_UP_LIMIT", "MAX_EVENT_BYTES"} {
		if !names[name] {
			t.Errorf("%s is not listed", name)
		}
	}
}

// What serve refuses without asking a server, the settings refuse too, and a name that
// cannot be looked up is no invalid setting.
func TestSettingsRefuseWhatServeRefuses(t *testing.T) {
	t.Parallel()
	short := map[string]string{"AUTH_HMAC_SECRET": "short", "AUTH_ISSUER": "a", "AUTH_AUDIENCE": "b"}
	for name, environ := range map[string]map[string]string{
		"no database of Redis":  {"REDIS_URL": "redis://127.0.0.1/notadb"},
		"an option of Redis":    {"REDIS_URL": "redis://127.0.0.1:6379?foo=bar"},
		"several Redis":         {"REDIS_URL": "redis://a:6379,redis://b:6379"},
		"a read preference":     {"MONGODB_URI": "mongodb://h/db?readPreference=nonsense"},
		"a short secret":        short,
		"no file of the secret": {"AUTH_HMAC_SECRET_FILE": "/nonexistent", "AUTH_ISSUER": "a", "AUTH_AUDIENCE": "b"},
		"keys over FTP":         {"AUTH_JWKS_URL": "ftp://x", "AUTH_ISSUER": "a", "AUTH_AUDIENCE": "b"},
		"no catalogue":          {"CATALOGUE_FILE": "/nonexistent"},
	} {
		if _, err := config.Load(environ); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := config.Load(map[string]string{"MONGODB_URI": "mongodb+srv://nosuch.example.invalid/db"}); err != nil {
		t.Errorf("a name that cannot be looked up: %v", err)
	}
}
