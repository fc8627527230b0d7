package devstack_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/devstack"
)

func TestRedisPublishes(t *testing.T) {
	t.Parallel()
	server, err := devstack.StartRedis(devstack.RedisConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	options, err := redis.ParseURL("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()
	subscription := client.Subscribe(t.Context(), "channel")
	defer func() { _ = subscription.Close() }()
	if _, err := subscription.Receive(t.Context()); err != nil { // subscribed
		t.Fatal(err)
	}
	if n, err := client.Publish(t.Context(), "channel", "hello").Result(); err != nil || n != 1 {
		t.Errorf("PUBLISH reached %d, %v; want 1", n, err)
	}
	if message, err := subscription.ReceiveMessage(t.Context()); err != nil || message.Payload != "hello" {
		t.Errorf("received %v, %v", message, err)
	}
	server.Close()
	server.Close() // harmless
	if server.Addr() == "" {
		t.Error("a closed server forgets its address")
	}
}
