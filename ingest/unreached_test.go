package ingest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/testkit"
)

// For each reason why a real Redis accepts no connection, the subscription and the exercise
// return its error with the server's own text.
func TestReasonsForNoConnection(t *testing.T) {
	t.Parallel()
	open := testkit.StartRedis(t)
	guarded := testkit.StartRedis(t, "--requirepass", "secret")
	pool, certificate, key := selfSigned(t)
	secure := testkit.FreeAddr(t)
	_, port, _ := net.SplitHostPort(secure)
	testkit.StartRedis(t, "--tls-port", port, "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no")
	for name, test := range map[string]struct {
		options redis.Options
		want    error
		says    string
	}{
		"a wrong password":              {redis.Options{Addr: guarded.Addr, Password: "other"}, ingest.ErrPassword, "WRONGPASS"},
		"an unknown user":               {redis.Options{Addr: open.Addr, Username: "nobody", Password: "other"}, ingest.ErrPassword, "WRONGPASS"},
		"no password":                   {redis.Options{Addr: guarded.Addr}, ingest.ErrNoPassword, "NOAUTH"},
		"a database that is not there":  {redis.Options{Addr: open.Addr, DB: 99}, ingest.ErrDatabase, "DB index"},
		"TLS to a plain port":           {redis.Options{Addr: open.Addr, DialTimeout: 2 * time.Second, TLSConfig: &tls.Config{ServerName: "localhost", RootCAs: pool}}, ingest.ErrPlain, ""},
		"no TLS to a port of TLS":       {redis.Options{Addr: secure}, ingest.ErrTLS, ""},
		"an issuer that is not trusted": {redis.Options{Addr: secure, TLSConfig: &tls.Config{ServerName: "localhost"}}, ingest.ErrCertificate, "x509"},
		"a port where nothing listens":  {redis.Options{Addr: "127.0.0.1:1"}, ingest.ErrUnreachable, "refused"},
		"a server that closes":          {redis.Options{Addr: testkit.StartClosing(t)}, ingest.ErrClosed, ""},
		"TLS to a server that closes":   {redis.Options{Addr: testkit.StartClosing(t), TLSConfig: &tls.Config{ServerName: "localhost"}}, ingest.ErrClosed, ""},
		"TLS as it should be":           {redis.Options{Addr: secure, TLSConfig: &tls.Config{ServerName: "localhost", RootCAs: pool}}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(where string, err error) {
				t.Helper()
				if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("%s: %v, want %v", where, err, test.want)
				}
				if err != nil && !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: %v does not say %q", where, err, test.says)
				}
				if err != nil && (errors.Is(err, ingest.ErrSubscribe) || strings.Contains(err.Error(), "may not")) {
					t.Errorf("%s: %v mentions permissions", where, err)
				}
			}
			options := test.options
			check("exercise", ingest.Exercise(t.Context(), &options, "text", patience))
			client := redis.NewClient(&options)
			t.Cleanup(func() { _ = client.Close() })
			g := start(t, client, newMemoryLog(), quick())
			eventually(t, "the outcome of the subscription", func() bool { return errors.Is(g.Connected(), test.want) })
			check("subscription", g.Connected())
		})
	}
}

// selfSigned writes a certificate for localhost and its key, and returns a pool with it.
func selfSigned(t *testing.T) (pool *x509.CertPool, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parsed, err := x509.ParseCertificate(signed)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return pool, write("cert.pem", "CERTIFICATE", signed), write("key.pem", "PRIVATE KEY", encoded)
}
