package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// withTokens are settings under which clients need a token, and some more.
func withTokens(more map[string]string) map[string]string {
	environ := map[string]string{"AUTH_JWKS_URL": "https://issuer.example/keys", "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime"}
	for name, value := range more {
		environ[name] = value
	}
	return environ
}

func TestContradictions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		environ map[string]string
		refused string // a part of the error
		warned  string // a part of the only warning
	}{
		{name: "defaults"},
		{name: "defaults in production", environ: map[string]string{"ENVIRONMENT": "production"}},
		{name: "origin cap at the total", environ: map[string]string{"SOCKET_MAX_CONNECTIONS": "10", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "10"}},
		{
			name:    "origin cap above the total",
			environ: map[string]string{"SOCKET_MAX_CONNECTIONS": "10", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "11"},
			refused: "SOCKET_MAX_CONNECTIONS_PER_ORIGIN is 11, above SOCKET_MAX_CONNECTIONS, 10",
		},
		{
			name:    "address cap above the total",
			environ: map[string]string{"SOCKET_MAX_CONNECTIONS": "10", "SOCKET_MAX_CONNECTIONS_PER_IP": "11"},
			refused: "SOCKET_MAX_CONNECTIONS_PER_IP is 11",
		},
		{
			name:    "subject cap above the total",
			environ: withTokens(map[string]string{"SOCKET_MAX_CONNECTIONS": "10", "SOCKET_MAX_CONNECTIONS_PER_SUBJECT": "11"}),
			refused: "SOCKET_MAX_CONNECTIONS_PER_SUBJECT is 11",
		},
		{
			name:    "a gateway's cap above the cluster's",
			environ: map[string]string{"SOCKET_MAX_CONNECTIONS": "11", "SOCKET_CLUSTER_MAX_CONNECTIONS": "10", "NATS_URL": "nats://a:4222"},
			refused: "SOCKET_MAX_CONNECTIONS is 11, above SOCKET_CLUSTER_MAX_CONNECTIONS, 10",
		},
		{
			name:    "an origin's cap above the cluster's",
			environ: map[string]string{"SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "6", "SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN": "5", "NATS_URL": "nats://a:4222"},
			refused: "above SOCKET_CLUSTER_MAX_CONNECTIONS_PER_ORIGIN, 5",
		},
		{
			name:    "an address's cap above the cluster's total",
			environ: map[string]string{"SOCKET_MAX_CONNECTIONS_PER_IP": "6", "SOCKET_CLUSTER_MAX_CONNECTIONS": "5", "NATS_URL": "nats://a:4222"},
			refused: "SOCKET_MAX_CONNECTIONS_PER_IP is 6, above SOCKET_CLUSTER_MAX_CONNECTIONS, 5",
		},
		{name: "an open log in production", environ: map[string]string{"NATS_LISTEN": "0.0.0.0:4222", "ENVIRONMENT": "production"}, refused: "without a password"},
		{name: "a cluster of one", environ: map[string]string{"SOCKET_CLUSTER_MAX_CONNECTIONS": "10"}, warned: "has no other gateway"},
		{name: "subject cap without tokens", environ: map[string]string{"SOCKET_MAX_CONNECTIONS_PER_SUBJECT": "5"}, warned: "without tokens no client has a subject"},
		{name: "every origin, no tokens", environ: map[string]string{"SOCKET_CLIENT_ORIGIN": "*"}, warned: "SOCKET_CLIENT_ORIGIN is * and tokens are off"},
		{
			name:    "every origin, no tokens, in production",
			environ: map[string]string{"SOCKET_CLIENT_ORIGIN": "*", "ENVIRONMENT": "production"},
			refused: "SOCKET_CLIENT_ORIGIN is * and tokens are off",
		},
		{name: "every origin with tokens, in production", environ: withTokens(map[string]string{"SOCKET_CLIENT_ORIGIN": "*", "ENVIRONMENT": "production"})},
		{
			name:    "two sources of keys",
			environ: withTokens(map[string]string{"AUTH_HMAC_SECRET": strings.Repeat("s", 32)}),
			refused: "more than one of AUTH_JWKS_URL",
		},
		{name: "an issuer and no keys", environ: map[string]string{"AUTH_ISSUER": "issuer"}, refused: "tokens would not be checked"},
		{name: "keys and no audience", environ: map[string]string{"AUTH_JWKS_URL": "https://a.example", "AUTH_ISSUER": "issuer"}, refused: "AUTH_AUDIENCE is empty"},
		{name: "operators on the public address", environ: map[string]string{"HOST": "10.0.0.1", "ADMIN_ADDR": "10.0.0.1:3001"}, refused: "the public address"},
		{name: "operators by scope on the public port", environ: map[string]string{"ADMIN_OPERATE_SCOPE": "realtime:operate"}, warned: "ADMIN_OPERATE_SCOPE is set and ADMIN_ADDR is empty"},
		{name: "readers by scope on the public port", environ: map[string]string{"ADMIN_READ_SCOPE": "realtime:read"}, warned: "ADMIN_READ_SCOPE is set and ADMIN_ADDR is empty"},
		{name: "operators by scope on their own address", environ: map[string]string{"ADMIN_OPERATE_SCOPE": "realtime:operate", "ADMIN_READ_SCOPE": "realtime:read", "ADMIN_ADDR": "127.0.0.1:3009"}},
		{name: "an open log", environ: map[string]string{"NATS_LISTEN": "0.0.0.0:4222"}, warned: "without a password"},
		{name: "a log for this machine", environ: map[string]string{"NATS_LISTEN": "127.0.0.1:4222"}},
		{name: "a listener without a server", environ: map[string]string{"NATS_LISTEN": "127.0.0.1:4222", "NATS_URL": "nats://a:4222"}, warned: "NATS_LISTEN is \"127.0.0.1:4222\" and has no effect"},
		{name: "a domain without a server", environ: map[string]string{"NATS_JS_DOMAIN": "hub"}, warned: "NATS_JS_DOMAIN has no effect without NATS_URL"},
		{name: "a domain", environ: map[string]string{"NATS_JS_DOMAIN": "hub-1", "NATS_URL": "nats://a:4222"}},
		{name: "roles apart without a shared log", environ: map[string]string{"ROLES": "fanout"}, warned: "ROLES is fanout, and neither"},
		{name: "sessions outlive events", environ: map[string]string{"STREAM_MAX_AGE": "3m", "SOCKET_RECOVERY_TTL": "5m"}, warned: "STREAM_MAX_AGE is 3m0s, below SOCKET_RECOVERY_TTL"},
		{name: "hasty eviction", environ: map[string]string{"SOCKET_IDLE_TIMEOUT_MS": "999"}, warned: "SOCKET_IDLE_TIMEOUT_MS is 999"},
		{
			name:    "messages above payloads",
			environ: map[string]string{"SOCKET_MAX_MESSAGE_BYTES": "5000", "SOCKET_MAX_PAYLOAD_BYTES": "4000"},
			refused: "SOCKET_MAX_MESSAGE_BYTES is 5000, above SOCKET_MAX_PAYLOAD_BYTES, 4000",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(test.environ)
			if test.refused != "" {
				if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("error %v, want one that says %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			warnings := cfg.Warnings()
			if test.warned == "" && len(warnings) > 0 || test.warned != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], test.warned)) {
				t.Errorf("warnings %q, want %q", warnings, test.warned)
			}
		})
	}
}

// The page of the settings is written from the struct, and current.
func TestSettingsPageIsCurrent(t *testing.T) {
	t.Parallel()
	const page = "../../docs/configuration.md"
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != config.Page() {
		t.Errorf("%s is not what the settings say: go run ./cmd/realtime config -o markdown > docs/configuration.md", page)
	}
}
