package backends

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/logkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// serveNATS runs a server with TLS and client certificates until the test ends.
func serveNATS(t *testing.T, authority *testkit.Authority, options natsd.Options) string {
	t.Helper()
	cert, key := authority.Issue("nats-" + filepath.Base(t.Name())) // subtests share the authority, and its folder
	settings, err := natsd.GenTLSConfig(&natsd.TLSConfigOpts{CertFile: cert, KeyFile: key, CaFile: authority.File, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	options.TLSConfig, options.TLSVerify, options.TLSTimeout = settings, true, 10
	return fmt.Sprint("nats://", logkit.Server(t, options).Addr())
}

// pair returns an nkey with its public key.
func pair(t *testing.T, prefix nkeys.PrefixByte) (key nkeys.KeyPair, public string) {
	t.Helper()
	key, err := nkeys.CreatePair(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = key.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return key, public
}

func written(t *testing.T, text []byte, err error) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// seeded returns a file with the seed of a key.
func seeded(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	seed, err := key.Seed()
	return written(t, seed, err)
}

// TestNATSCredentials: each way to show who the gateway is, over TLS with a client
// certificate, is accepted by a server that accepts no other client.
func TestNATSCredentials(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	user, public := pair(t, nkeys.PrefixByteUser)
	other, _ := pair(t, nkeys.PrefixByteUser)

	operator, operatorKey := pair(t, nkeys.PrefixByteOperator)
	account, accountKey := pair(t, nkeys.PrefixByteAccount)
	accountJWT, err := jwt.NewAccountClaims(accountKey).Encode(operator)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &natsd.MemAccResolver{}
	if err := resolver.Store(accountKey, accountJWT); err != nil {
		t.Fatal(err)
	}
	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	creds := func(signer nkeys.KeyPair) string {
		t.Helper()
		claims, err := jwt.NewUserClaims(public).Encode(signer)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		text, err := jwt.FormatUserConfig(claims, seed)
		return written(t, text, err)
	}
	stranger, _ := pair(t, nkeys.PrefixByteAccount)

	tests := []struct {
		name        string
		server      natsd.Options
		right, bad  map[string]string
		shownSecret string
	}{
		{
			"nkey",
			natsd.Options{Nkeys: []*natsd.NkeyUser{{Nkey: public}}},
			map[string]string{"NATS_NKEY_FILE": seeded(t, user)},
			map[string]string{"NATS_NKEY_FILE": seeded(t, other)},
			"",
		},
		{
			"user",
			natsd.Options{Users: []*natsd.User{{Username: "realtime", Password: "hunter2"}}},
			map[string]string{"NATS_USER": "realtime", "NATS_PASSWORD": "hunter2"},
			map[string]string{"NATS_USER": "realtime", "NATS_PASSWORD": "hunter3"},
			"hunter3",
		},
		{
			"token",
			natsd.Options{Authorization: "hunter2"},
			map[string]string{"NATS_TOKEN": "hunter2"},
			map[string]string{"NATS_TOKEN": "hunter3"},
			"hunter3",
		},
		{
			"credentials",
			natsd.Options{TrustedOperators: []*jwt.OperatorClaims{operatorClaims}, AccountResolver: resolver},
			map[string]string{"NATS_CREDS_FILE": creds(account)},
			map[string]string{"NATS_CREDS_FILE": creds(stranger)},
			"",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serveNATS(t, authority, test.server)
			cert, key := authority.Issue(test.name)
			connect := func(ways map[string]string, files tlsfiles.Files) error {
				t.Helper()
				environ := map[string]string{"NATS_URL": url, "NATS_TLS_CA_FILE": files.CA, "NATS_TLS_CERT_FILE": files.Cert, "NATS_TLS_KEY_FILE": files.Key}
				for name, value := range ways {
					environ[name] = value
				}
				cfg, err := config.Load(environ)
				if err != nil {
					t.Fatal(err)
				}
				options, err := natsOptions(cfg)
				if err != nil {
					t.Fatal(err)
				}
				conn, err := eventstore.Connect(t.Context(), url, eventstore.ConnConfig{Options: options})
				if err != nil {
					return err
				}
				defer conn.Close()
				return conn.FlushTimeout(time.Minute)
			}
			files := tlsfiles.Files{CA: authority.File, Cert: cert, Key: key}
			if err := connect(test.right, files); err != nil {
				t.Errorf("right credentials: %v", err)
			}
			if err := connect(test.bad, files); err == nil || test.shownSecret != "" && strings.Contains(err.Error(), test.shownSecret) {
				t.Errorf("wrong credentials: error %v", err)
			}
			if err := connect(test.right, tlsfiles.Files{CA: authority.File}); err == nil {
				t.Error("taken without a certificate")
			}
			if err := connect(test.right, tlsfiles.Files{CA: testkit.NewAuthority(t).File, Cert: cert, Key: key}); err == nil {
				t.Error("a server of another authority is taken")
			}
		})
	}
}
