package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// A file that a setting names, and that cannot be used, is named with its setting and with
// what is wrong with it, and not as an address that is malformed.
func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	text := write(t, "text.pem", "this is no certificate")
	const missing = "/nonexistent/ca.pem"
	for name, test := range map[string]struct {
		setting, value string
		want           []string
	}{
		"authorities of MongoDB":                 {"MONGODB_URI", "mongodb://h/db?tls=true&tlsCAFile=" + missing, []string{"MONGODB_URI: tlsCAFile", missing, "no such file"}},
		"authorities of MongoDB with a password": {"MONGODB_URI", "mongodb://u:hunter2@h/db?tls=true&tlsCAFile=" + missing, []string{"tlsCAFile", missing}},
		"authorities of MongoDB with a look-up":  {"MONGODB_URI", "mongodb+srv://u:hunter2@h.example/db?tlsCAFile=" + missing, []string{"tlsCAFile", missing}},
		"authorities of MongoDB that are none":   {"MONGODB_URI", "mongodb://h/db?tls=true&tlsCAFile=" + text, []string{"tlsCAFile", text, "no certificate in PEM"}},
		"the certificate for MongoDB":            {"MONGODB_URI", "mongodb://h/db?tls=true&tlsCertificateKeyFile=" + missing, []string{"tlsCertificateKeyFile", missing, "no such file"}},
		"authorities of Redis":                   {"REDIS_TLS_CA_FILE", missing, []string{"REDIS_TLS_CA_FILE", missing, "no such file"}},
		"a certificate for Redis without a key":  {"REDIS_TLS_CERT_FILE", missing, []string{"REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE", "together"}},
		"authorities of NATS":                    {"NATS_TLS_CA_FILE", missing, []string{"NATS_TLS_CA_FILE", missing, "no such file"}},
		"authorities of NATS that are none":      {"NATS_TLS_CA_FILE", text, []string{"NATS_TLS_CA_FILE", text, "no certificate in PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(map[string]string{test.setting: test.value})
			if !errors.Is(err, config.ErrInvalid) || strings.Contains(err.Error(), "hunter2") {
				t.Fatalf("error %v", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v does not say %q", err, part)
				}
			}
		})
	}
}
