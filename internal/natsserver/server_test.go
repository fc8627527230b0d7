package natsserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/natsserver"
)

func start(t *testing.T, cfg natsserver.Config) *natsserver.Server {
	t.Helper()
	server, err := natsserver.Start(cfg)
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *natsserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// stored returns the number of messages in a stream that is made if absent,
// after adding one.
func stored(t *testing.T, server *natsserver.Server) uint64 {
	t.Helper()
	conn, err := server.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func TestServerKeepsItsData(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	for want := uint64(1); want <= 3; want++ {
		server := start(t, natsserver.Config{StoreDir: dir, SyncAlways: want == 2, SyncInterval: time.Second})
		if url := server.ClientURL(); url != "" {
			t.Errorf("listens on %s", url)
		}
		if got := stored(t, server); got != want {
			t.Errorf("%d messages, want %d", got, want)
		}
		stop(t, server)
		stop(t, server)
	}
}

func TestServerListens(t *testing.T) {
	t.Parallel()
	server := start(t, natsserver.Config{StoreDir: t.TempDir(), Listen: "127.0.0.1:0"})
	address := strings.TrimPrefix(server.ClientURL(), "nats://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}

	_, err = natsserver.Start(natsserver.Config{StoreDir: t.TempDir(), Listen: address})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), address) {
		t.Errorf("on a taken port: %v", err)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	start(t, natsserver.Config{StoreDir: taken})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  natsserver.Config
		want string
	}{
		"no folder":       {natsserver.Config{}, "StoreDir"},
		"a file":          {natsserver.Config{StoreDir: file}, "data folder"},
		"folder in use":   {natsserver.Config{StoreDir: taken}, natsserver.ErrFolderInUse.Error()},
		"bad port":        {natsserver.Config{StoreDir: t.TempDir(), Listen: "localhost:x"}, "Listen"},
		"no port":         {natsserver.Config{StoreDir: t.TempDir(), Listen: "localhost"}, "Listen"},
		"sync interval":   {natsserver.Config{StoreDir: t.TempDir(), SyncInterval: -1}, "SyncInterval"},
		"foreign address": {natsserver.Config{StoreDir: t.TempDir(), Listen: "192.0.2.1:4222"}, "192.0.2.1:4222"},
	} {
		started := time.Now()
		_, err := natsserver.Start(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(started); took > time.Minute {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func TestStartRefusesAFolderItCannotWrite(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := natsserver.Start(natsserver.Config{StoreDir: dir}); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("error = %v", err)
	}
}

func TestCloseGivesUpAtItsDeadline(t *testing.T) {
	t.Parallel()
	server := start(t, natsserver.Config{StoreDir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either is right: it may have ended already.
	if err := server.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}
