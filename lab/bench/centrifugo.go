package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/letswriteabook/realtime/lab/processes"
)

// centrifugo is Centrifugo with its Redis engine, with history and recovery. Events are
// published over its HTTP API.
func centrifugo() *peer {
	return &peer{
		name: "centrifugo",
		find: func(context.Context) (string, error) {
			path, err := exec.LookPath("centrifugo")
			if err != nil {
				return "", fmt.Errorf("%w: %w", errNoPeer, err)
			}
			return path, nil
		},
		version: func(ctx context.Context, program string) string {
			said, err := exec.CommandContext(ctx, program, "version").Output()
			if err != nil {
				return "unknown: " + err.Error()
			}
			return strings.TrimSpace(string(said))
		},
		process: centrifugoProcess,
		follow:  followCentrifugo,
		publish: publishCentrifugo,
		history: true,
	}
}

func centrifugoProcess(_ context.Context, s *system, program string) (*processes.Process, error) {
	settings := filepath.Join(s.lab.Dir(), "centrifugo.json")
	return s.lab.Other(processes.Program{Name: "centrifugo", Path: program, Ready: "/health"}, func(host, port string) ([]string, error) {
		text, err := json.Marshal(map[string]any{
			"http_server": map[string]any{"address": host, "port": port},
			"engine":      map[string]any{"type": "redis", "redis": map[string]any{"address": s.lab.RedisURL()}},
			"client":      map[string]any{"insecure": true, "allowed_origins": []string{"*"}},
			"channel":     map[string]any{"without_namespace": map[string]any{"history_size": 1000, "history_ttl": "300s", "force_recovery": true}},
			"http_api":    map[string]any{"insecure": true},
			"prometheus":  map[string]any{"enabled": true},
			"health":      map[string]any{"enabled": true},
			"log":         map[string]any{"level": "warn"},
		})
		if err != nil {
			return nil, err
		}
		return []string{"--config", settings}, os.WriteFile(settings, text, 0o600)
	})
}

// followCentrifugo speaks the JSON protocol of https://centrifugal.dev/docs/transports/client_protocol:
// a message of the WebSocket has one or several lines, an empty object is a ping. The answer to
// a subscription contains the events that were missed.
func followCentrifugo(ctx context.Context, c *clients, addr string, number int, job string, all bool) (leave func(), err error) {
	dialer := websocket.Dialer{
		HandshakeTimeout: 10 * time.Second, ReadBufferSize: 4 << 10,
		NetDialContext: (&net.Dialer{LocalAddr: localAddr(number)}).DialContext,
	}
	conn, answer, err := dialer.DialContext(ctx, "ws://"+addr+"/connection/websocket", nil)
	if err != nil {
		return nil, fmt.Errorf("dial centrifugo: %w", err)
	}
	_ = answer.Body.Close()
	after := ""
	if all {
		after = `,"recover":true,"offset":0`
	}
	request := fmt.Sprintf(`{"id":1,"connect":{}}`+"\n"+`{"id":2,"subscribe":{"channel":%q%s}}`, job, after)
	if err := conn.WriteMessage(websocket.TextMessage, []byte(request)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("subscribe at centrifugo: %w", err)
	}
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				return
			}
			received := time.Now()
			for line := range bytes.Lines(text) {
				switch line = bytes.TrimSpace(line); {
				case string(line) == "{}":
					err = conn.WriteMessage(websocket.TextMessage, line)
				case bytes.Contains(line, []byte(`"pub":`)):
					c.count(line, received)
				case bytes.HasPrefix(line, []byte(`{"id":2,"subscribe"`)):
					c.subscribed.Add(1)
					c.received.Add(int64(bytes.Count(line, []byte(`"due":`))))
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return func() {
		_ = conn.Close()
		<-ended
	}, nil
}

// publishCentrifugo publishes all events with one request.
func publishCentrifugo(ctx context.Context, addr, job string, bodies [][]byte) error {
	type publication struct {
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data"`
	}
	type command struct {
		Publish publication `json:"publish"`
	}
	var commands []command
	for _, body := range bodies {
		commands = append(commands, command{publication{job, body}})
	}
	body, err := json.Marshal(map[string]any{"commands": commands})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/batch", bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("publish to centrifugo: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && (response.StatusCode != http.StatusOK || bytes.Contains(said, []byte(`"error"`))) {
		err = fmt.Errorf("publish to centrifugo: %s: %.200s", response.Status, said)
	}
	return err
}
