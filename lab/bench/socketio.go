package bench

import (
	"context"
	_ "embed" // for the server
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

//go:embed socketio.js
var socketIOServer []byte

// socketIO is a Socket.IO server on Node.js with a Redis subscription, without a log and
// recovery. The package socket.io has to be found in the folders of NODE_PATH. The clients of
// a gateway speak its protocol.
func socketIO() *peer {
	return &peer{name: "socket.io", find: findSocketIO, version: socketIOVersion, process: socketIOProcess}
}

func findSocketIO(ctx context.Context) (string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoPeer, err)
	}
	if err := exec.CommandContext(ctx, node, "-e", "require('socket.io')").Run(); err != nil {
		return "", fmt.Errorf("%w: node finds no package socket.io in NODE_PATH", errNoPeer)
	}
	return node, nil
}

func socketIOVersion(ctx context.Context, node string) string {
	said, err := exec.CommandContext(ctx, node, "-p", "process.version + ', socket.io ' + require('socket.io/package.json').version").Output()
	if err != nil {
		return "unknown: " + err.Error()
	}
	return "Node.js " + strings.TrimSpace(string(said))
}

func socketIOProcess(ctx context.Context, s *system, node string) (*processes.Process, error) {
	const folder = "require('path').resolve(require.resolve('socket.io/package.json'), '../..')"
	packages, err := exec.CommandContext(ctx, node, "-p", folder).Output()
	if err != nil {
		return nil, fmt.Errorf("find the package socket.io: %w", err)
	}
	script := filepath.Join(s.lab.Dir(), "socketio.js")
	env := map[string]string{"NODE_PATH": strings.TrimSpace(string(packages))}
	return s.lab.Other(processes.Program{Name: "socket.io", Path: node, Ready: "/metrics", Env: env}, func(host, port string) ([]string, error) {
		redisHost, redisPort, err := net.SplitHostPort(s.lab.Redis().Addr())
		if err != nil {
			return nil, err
		}
		return []string{script, host, port, redisHost, redisPort, messaging.EventsChannel}, os.WriteFile(script, socketIOServer, 0o600)
	})
}
