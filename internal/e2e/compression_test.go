package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/messaging"
)

// socket.io-client in Node negotiates compression by default, as browsers do. With the
// setting it reads compressed events beside others, and compresses what it sends itself.
func TestCompressedEvents(t *testing.T) {
	t.Parallel()
	nodes := startDriver(t)
	redis := testkit.StartRedis(t)
	server := startGateway(t, settings{"REDIS_URL": redis.URL(), "SOCKET_COMPRESSION": "true"})
	clients := []*client{
		nodes.open("compressed", server.url("/"), options{"perMessageDeflate": options{"threshold": 0}}),
		nodes.open("plain", server.url("/"), options{"perMessageDeflate": false}),
	}
	for i, wanted := range []string{"permessage-deflate", ""} {
		var connected struct{ Extensions string }
		clients[i].await("connect").into(t, &connected)
		if connected.Extensions != wanted {
			t.Fatalf("extensions %q, want %q", connected.Extensions, wanted)
		}
		clients[i].subscribe("compression", nil)
		clients[i].await(messaging.EventCaughtUp)
	}
	producer := startOutbox(t, redis.Client())
	for _, size := range []int{100, 1_000, 50_000, 100} {
		text := strings.Repeat("ä sentence of the novel. ", size/25)
		envelope, err := json.Marshal(map[string]any{
			"version": 1, "kind": "domain", "jobId": "compression",
			"event": map[string]any{"type": "chapter.saved", "occurredAt": "2026-01-02T03:04:05Z", "text": text},
		})
		if err != nil {
			t.Fatal(err)
		}
		producer.publish(envelope)
		for _, c := range clients {
			var got struct{ Event struct{ Text string } }
			c.await("novel.domain-event").into(t, &got)
			if got.Event.Text != text {
				t.Errorf("%s: a text of %d bytes, want %d", c.name, len(got.Event.Text), len(text))
			}
		}
	}
}
