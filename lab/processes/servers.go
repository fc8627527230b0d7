package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/deploy/cluster"
	"github.com/letswriteabook/realtime/internal/freeaddr"
)

// questionTimeout bounds one check of a server.
const questionTimeout = time.Second

// errNotReady is returned for a server that answers but is not ready.
var errNotReady = errors.New("not ready")

// port returns the port of a host and port.
func port(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

// environment returns the whole environment of a process.
func environment(env map[string]string) []string {
	all := make([]string, 0, len(env))
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	return all
}

func (p *Process) variable(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.env[name]
}

func (l *Lab) newRedis() (*Process, error) {
	address, err := freeaddr.New()
	if err != nil {
		return nil, err
	}
	return l.add(&Process{
		name: "redis", path: l.cfg.Programs.Redis, addr: address,
		args: []string{
			"--bind", "127.0.0.1", "--port", port(address), "--dir", l.cfg.Dir,
			"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "",
		},
		ready: greeted(address, "PING\r\n", "+PONG"),
	}), nil
}

func (l *Lab) newMongo() (*Process, error) {
	address, err := freeaddr.New()
	if err != nil {
		return nil, err
	}
	return l.add(&Process{
		name: "mongo", path: l.cfg.Programs.Dev, addr: address,
		args:  []string{"mongo", "--listen", address, "--dir", filepath.Join(l.cfg.Dir, "mongo")},
		ready: accepting(address),
	}), nil
}

// node is a NATS server of the cluster.
type node struct {
	*Process
	monitor string // host and port of its monitoring pages
	route   string // host and port for the other nodes
}

// newNodes prepares the servers with the configuration files of deploy/cluster, which read
// every address from the environment.
func (l *Lab) newNodes() ([]*node, error) {
	settings := filepath.Join(l.cfg.Dir, "nats")
	if err := cluster.Write(settings); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	env := map[string]string{"NATS_SYNC": l.cfg.Sync}
	nodes := make([]*node, l.cfg.Nodes)
	for i := range maxNodes {
		var addresses [3]string
		for j := range addresses {
			var err error
			if addresses[j], err = freeaddr.New(); err != nil {
				return nil, err
			}
		}
		listen, monitor, route := addresses[0], addresses[1], addresses[2]
		prefix := fmt.Sprintf("NATS_%d_", i+1)
		env[prefix+"LISTEN"], env[prefix+"HTTP"], env[prefix+"ROUTE"] = listen, monitor, route
		env[prefix+"ROUTE_URL"] = "nats-route://" + route
		env[prefix+"STORE"] = filepath.Join(l.cfg.Dir, fmt.Sprintf("nats-%d", i+1))
		if i >= len(nodes) {
			continue // its variables have to be set, and no server answers
		}
		file := fmt.Sprintf("nats-%d.conf", i+1)
		if len(nodes) == 1 {
			file = "nats-alone.conf"
		}
		nodes[i] = &node{monitor: monitor, route: route, Process: &Process{
			name: fmt.Sprintf("nats-%d", i+1), path: l.cfg.Programs.NATS, addr: listen,
			args:  []string{"-c", filepath.Join(settings, file)},
			ready: greeted(listen, "", "INFO "),
		}}
	}
	for _, n := range nodes {
		n.env = make(map[string]string, len(env))
		for name, value := range env {
			n.env[name] = value
		}
		l.add(n.Process)
	}
	return nodes, nil
}

// greeted checks that a server with a line protocol answers question with a text that
// begins with answer.
func greeted(address, question, answer string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: questionTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(questionTimeout)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, question); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, answer) {
			err = fmt.Errorf("%w: %q", errNotReady, line)
		}
		return err
	}
}

// accepting checks that a server accepts connections.
func accepting(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: questionTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// httpReady checks that a page is answered with 200.
func httpReady(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := get(ctx, url)
		if err != nil {
			return fmt.Errorf("%w: %.200s", err, body)
		}
		return nil
	}
}

// get reads a page. A status other than 200 is an error, returned together with the page.
func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*questionTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true // no connection is kept to a process that will be killed
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w: %s answers %s", errNotReady, url, response.Status)
	}
	return body, err
}
