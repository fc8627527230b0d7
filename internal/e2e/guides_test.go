package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// guidePages are the pages whose commands are run one after the other, in this order.
var guidePages = []string{"guides/from-socket-io.md", "guides/from-pusher.md", "guides/from-centrifugo.md", "ops/scaling.md"}

// TestGuides runs every command of the guides, on a gateway that asks for tokens.
func TestGuides(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "jq", "openssl"} {
		testkit.Program(t, program)
	}
	const secret, internal = "a shared secret of 32 bytes or more", "an internal token"
	redis := testkit.StartRedis(t)
	env := settings{"AUTH_HMAC_SECRET": secret, "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime"}
	g := startGateway(t, settings{
		"AUTH_HMAC_SECRET": secret, "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime", "INTERNAL_TOKEN": internal,
		"REDIS_URL": redis.URL(), "NATS_LISTEN": "127.0.0.1:0",
	})
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "issuer", "aud": "realtime", "sub": "reader", "jobs": "*", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	script, dir := &strings.Builder{}, t.TempDir()
	var files strings.Builder
	for _, page := range guidePages {
		blocks, _ := readBlocks(t, filepath.Join("../../docs", page))
		if len(blocks) == 0 {
			t.Errorf("%s has no commands", page)
		}
		for _, block := range blocks {
			name := fmt.Sprintf("%s-line-%d.sh", strings.TrimSuffix(filepath.Base(page), ".md"), block.line)
			fmt.Fprintf(script, "exec bash -euo pipefail %s\n", name)
			fmt.Fprintf(&files, "-- %s --\n%s", name, block.text)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "guides.txtar"), []byte(script.String()+files.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(script *testscript.Env) error {
		for name, value := range env {
			script.Setenv(name, value)
		}
		script.Setenv("PATH", filepath.Dir(build(t, "realtime"))+string(os.PathListSeparator)+os.Getenv("PATH"))
		script.Setenv("GATEWAY", g.url(""))
		script.Setenv("TOKEN", token)
		script.Setenv("INTERNAL_TOKEN", internal)
		script.Setenv("REDIS_URL", redis.URL())
		script.Setenv("NATS_URL", natsURL(g))
		return nil
	}})
}
