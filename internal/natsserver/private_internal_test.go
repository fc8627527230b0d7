package natsserver

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// The port for clients of a server in a cluster that has no address for them is told to
// nobody, and closed to others.
func TestPrivatePort(t *testing.T) {
	t.Parallel()
	own := testkit.FreeAddr(t)
	server, err := Start(Config{StoreDir: t.TempDir(), Cluster: Cluster{Listen: own, Node: "a", Routes: []string{own, testkit.FreeAddr(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close(context.Background()) })
	if url := server.ClientURL(); url != "" {
		t.Errorf("the port is told: %s", url)
	}
	conn, err := server.Conn()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if stranger, err := nats.Connect(server.instance().ClientURL()); err == nil {
		stranger.Close()
		t.Error("a stranger is taken")
	}
}
