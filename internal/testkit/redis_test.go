package testkit_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedisAnswersAcrossItsLives(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	client := server.Client()
	ping := func() error { return client.Ping(t.Context()).Err() }

	if err := ping(); err != nil {
		t.Fatalf("ping after start: %v", err)
	}
	for name, end := range map[string]func(){"stop": server.Stop, "kill": server.Kill} {
		end()
		end() // a server that is down stays down
		if _, err := net.Dial("tcp", server.Addr); err == nil {
			t.Fatalf("%s: something still listens on %s", name, server.Addr)
		}
		server.Restart()
		if err := ping(); err != nil {
			t.Fatalf("ping after %s and restart: %v", name, err)
		}
	}
	server.Restart()
	if err := ping(); err != nil {
		t.Fatalf("ping after restart of a running server: %v", err)
	}
}

func TestRedisPausedIsSilentButListens(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr, ContextTimeoutEnabled: true, MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("ping before the pause: %v", err)
	}

	server.Pause()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := client.Ping(short).Err(); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("ping of a paused server: %v, want a timeout", err)
	}
	server.Resume()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatalf("ping after resume: %v", err)
	}
}
