package natsserver_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/tlsfiles"
)

// Clients over TCP need the user and a certificate, and the process itself does not.
func TestUsersAndTLS(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("server")
	server := start(t, natsserver.Config{
		StoreDir: t.TempDir(), Listen: "127.0.0.1:0",
		Users: natsserver.Users{Name: "realtime", Password: "hunter2", TLS: tlsfiles.Files{CA: authority.File, Cert: cert, Key: key}},
	})
	own, err := server.Conn()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
	mine, mineKey := authority.Issue("client")
	user, show, trust := nats.UserInfo("realtime", "hunter2"), nats.ClientCert(mine, mineKey), nats.RootCAs(authority.File)
	for name, test := range map[string]struct {
		options []nats.Option
		taken   bool
	}{
		"all of it":        {[]nats.Option{user, show, trust}, true},
		"no user":          {[]nats.Option{show, trust}, false},
		"another password": {[]nats.Option{nats.UserInfo("realtime", "x"), show, trust}, false},
		"no certificate":   {[]nats.Option{user, trust}, false},
	} {
		conn, err := nats.Connect(server.ClientURL(), test.options...)
		if (err == nil) != test.taken {
			t.Errorf("%s: error %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestClusterIsChecked(t *testing.T) {
	t.Parallel()
	good := natsserver.Cluster{Listen: "127.0.0.1:6222", Node: "a", Routes: []string{"b:6222"}}
	for part, change := range map[string]func(*natsserver.Cluster){
		"Node":            func(c *natsserver.Cluster) { c.Node = "a.b" },
		"cluster address": func(c *natsserver.Cluster) { c.Listen = "127.0.0.1:0" },
		"route":           func(c *natsserver.Cluster) { c.Routes = []string{"b"} },
		"routes":          func(c *natsserver.Cluster) { c.Routes = make([]string, 17) },
	} {
		bad := good
		change(&bad)
		if err := (natsserver.Config{StoreDir: "x", Cluster: bad}).Validate(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v", part, err)
		}
	}
	if err := (natsserver.Config{StoreDir: "x", Cluster: good}).Validate(); err != nil {
		t.Error(err)
	}
}
