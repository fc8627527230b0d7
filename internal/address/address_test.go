package address_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/address"
)

func TestShown(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                       "",
		"redis://redis:6379":     "redis://redis:6379",
		"redis://redis:6379/1":   "redis://redis:6379/1",
		"redis://:secret@h:1":    "redis://xxxxx@h:1",
		"rediss://u:secret@h:1":  "rediss://xxxxx@h:1",
		"nats://token@h:1":       "nats://xxxxx@h:1",
		"nats://u:a@b:c@h":       "nats://xxxxx@h",
		"nats://u:s@[::1]:4222":  "nats://xxxxx@[::1]:4222",
		"nats://u:p%2Fq@h:1":     "nats://xxxxx@h:1",
		"nats://a:1, tls://b:2":  "nats://a:1,tls://b:2",
		"nats://a:1,b:2":         "nats://a:1,b:2",
		"nats://u:s@a:1,tls://b": "nats://xxxxx@a:1,tls://(hidden)",
		"mongodb://u:s@a:1,b:2/db?replicaSet=r&authMechanismProperties=A:secret,B:secret": "mongodb://xxxxx@a:1,b:2/db?replicaSet=xxxxx&authMechanismProperties=xxxxx,xxxxx",
		"mongodb+srv://cluster.example/db?secret":                                         "mongodb+srv://cluster.example/db?xxxxx=xxxxx",
		"https://u:s@issuer.example/keys?token=s":                                         "https://xxxxx@issuer.example/keys?xxxxx=xxxxx",
		"secret":                      "(hidden)",
		"secret://h":                  "(hidden)",
		"redis://:sec/ret@h:1":        "(hidden)",
		"redis://:sec?ret@h:1":        "(hidden)",
		"redis://:sec#ret@h:1":        "(hidden)",
		"redis://h/secret%zz":         "(hidden)",
		"redis://:12/secret@h:1":      "(hidden)",
		"redis://:12?secret@h:1":      "(hidden)",
		"nats://u:sec,ret@h:1":        "(hidden)",
		"nats://u:12,34@h:1":          "(hidden)",
		"nats://u:,secret,@h:1":       "(hidden)",
		"mongodb://u:sec?ret@h:1/db":  "(hidden)",
		"mongodb://u:sec,ret@h:1/db":  "(hidden)",
		"mongodb://%2Ftmp%2Fm.sock/x": "(hidden)",
	} {
		if got := address.Shown(given); got != want {
			t.Errorf("shown %q = %q, want %q", given, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"redis://:a@b@h:1/0", "nats://u:p@a,nats://v:q@b", "redis://h?db=1", "nats://a,b"} {
		if err := address.Check(given); err != nil {
			t.Errorf("%q: %v", given, err)
		}
	}
	for _, given := range []string{"redis://:a/b@h", "redis://:1?b@h", "nats://u:1,b@h", "redis://:a#b@h"} {
		if err := address.Check(given); !errors.Is(err, address.ErrAmbiguous) {
			t.Errorf("%q is taken: %v", given, err)
		}
	}
}

// marker is the part of a password that must not be shown.
const marker = "Qz7MARKER"

// templates are addresses with a secret in place of %s.
var templates = []string{
	"redis://:%s@127.0.0.1:1/0", "rediss://user:%s@127.0.0.1:1", "redis://h:1?password=%s", "nats://%s@h:1", "nats://user:%s@127.0.0.1:1,nats://other:2",
	"nats://first:1,nats://user:%s@127.0.0.1:1", "mongodb://user:%s@a:1,b:2/db?replicaSet=r", "mongodb+srv://user:%s@cluster.example/db",
	"mongodb://h/db?authMechanismProperties=A:%s", "https://user:%s@issuer.example/keys", "https://h/keys?token=%s",
}

// A secret of any characters, before and after the marker, is not shown. The
// exception is one that has an address of its own in it: the drivers take that for
// a further server as well.
func FuzzShown(f *testing.F) {
	for i := range templates {
		for _, special := range []string{"", ",", "?", "@", "/", "#", "%", ":", "&", "=", "[", "]", " ", "\n", "\\", "1", "1,2", "12/", "12?", "a@b", "?a=b&"} {
			f.Add(i, special, "")
			f.Add(i, "", special)
			f.Add(i, special, special)
		}
	}
	f.Fuzz(func(t *testing.T, template int, left, right string) {
		if template < 0 || strings.Contains(left+right, "://") {
			t.Skip("an address of its own")
		}
		given := strings.Replace(templates[template%len(templates)], "%s", left+marker+right, 1)
		if got := address.Shown(given); strings.Contains(got, marker) {
			t.Errorf("shown %q = %q", given, got)
		}
	})
}
