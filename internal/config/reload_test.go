package config_test

import (
	"errors"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/letswriteabook/realtime/internal/config"
)

// TestReloaded: what a reload applies, what it leaves for a restart, and that settings
// which contradict those in force are refused.
func TestReloaded(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef0123456789abcdef"
	tokens := map[string]string{"AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "audience"}
	with := func(base map[string]string, pairs ...string) map[string]string {
		all := maps.Clone(base)
		if all == nil {
			all = make(map[string]string)
		}
		for i := 0; i < len(pairs); i += 2 {
			all[pairs[i]] = pairs[i+1]
		}
		return all
	}
	for name, test := range map[string]struct {
		before, after    map[string]string
		changed, restart []string
		wrong            bool
	}{
		"nothing":                {nil, nil, nil, nil, false},
		"limits":                 {nil, with(nil, "SOCKET_MAX_CONNECTIONS", "5", "SOCKET_BYTES_PER_SECOND", "1000"), []string{"SOCKET_MAX_CONNECTIONS", "SOCKET_BYTES_PER_SECOND"}, nil, false},
		"what takes a restart":   {nil, with(nil, "SOCKET_MAX_MESSAGE_BYTES", "5", "GUARDRAILS_DRY_RUN", "true"), nil, []string{"SOCKET_MAX_MESSAGE_BYTES", "GUARDRAILS_DRY_RUN"}, false},
		"another secret":         {with(tokens, "AUTH_HMAC_SECRET", secret), with(tokens, "AUTH_HMAC_SECRET", secret+"1"), []string{"AUTH_HMAC_SECRET"}, nil, false},
		"tokens where none were": {nil, with(tokens, "AUTH_HMAC_SECRET", secret), nil, []string{"AUTH_HMAC_SECRET", "AUTH_ISSUER", "AUTH_AUDIENCE"}, false},
		"no tokens any more":     {with(tokens, "AUTH_HMAC_SECRET", secret), nil, nil, []string{"AUTH_HMAC_SECRET", "AUTH_ISSUER", "AUTH_AUDIENCE"}, false},
		"against what is in force": {
			with(nil, "SOCKET_CLUSTER_MAX_CONNECTIONS", "10"), with(nil, "SOCKET_CLUSTER_MAX_CONNECTIONS", "100", "SOCKET_MAX_CONNECTIONS", "50"),
			[]string{"SOCKET_MAX_CONNECTIONS"},
			[]string{"SOCKET_CLUSTER_MAX_CONNECTIONS"},
			true,
		},
	} {
		before, err := config.Load(test.before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := config.Load(test.after)
		if err != nil {
			t.Fatal(err)
		}
		reloaded, changed, restart, err := config.Reloaded(before, after)
		if errors.Is(err, config.ErrInvalid) != test.wrong || !slices.Equal(changed, test.changed) || !slices.Equal(restart, test.restart) {
			t.Errorf("%s: changed %q, restart %q, %v", name, changed, restart, err)
		}
		if _, again, left, _ := config.Reloaded(reloaded, after); len(again) > 0 || !slices.Equal(left, test.restart) {
			t.Errorf("%s: a second reload changes %q and leaves %q", name, again, left)
		}
	}
}

// TestReloadNeedsNoFileOfAStart: a file that only a start reads may be gone while a gateway
// runs, and one that the next start is to read may not be there yet.
func TestReloadNeedsNoFileOfAStart(t *testing.T) {
	t.Parallel()
	seed, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := seed.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "nkey", string(text))
	environ := map[string]string{"NATS_URL": "nats://127.0.0.1:4222", "NATS_NKEY_FILE": file}
	before, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	environ["SOCKET_MAX_CONNECTIONS"] = "5"
	environ["MONGODB_URI"] = "mongodb://h/db?tls=true&tlsCAFile=" + file
	if _, err := config.Load(environ); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("a start: %v", err)
	}
	after, err := config.LoadAgain(environ)
	if err != nil {
		t.Fatal(err)
	}
	reloaded, changed, restart, err := config.Reloaded(before, after)
	if err != nil || reloaded.MaxConns != 5 || !slices.Equal(changed, []string{"SOCKET_MAX_CONNECTIONS"}) || !slices.Equal(restart, []string{"MONGODB_URI"}) {
		t.Errorf("changed %q, restart %q, %v", changed, restart, err)
	}
	environ["CATALOGUE_FILE"] = file
	if _, err := config.LoadAgain(environ); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("a catalogue that is gone, which a reload reads: %v", err)
	}
}
