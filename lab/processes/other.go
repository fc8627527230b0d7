package processes

import (
	"fmt"
	"maps"
	"net"

	"github.com/letswriteabook/realtime/internal/freeaddr"
)

// Program is a server that is none of the lab's own.
type Program struct {
	Name, Path string
	// Ready is the path of an HTTP page that is answered with 200 when the server serves.
	Ready string
	// Env are its variables, beside PATH.
	Env map[string]string
}

// Other returns a process of a program on a free loopback address. arguments returns its
// arguments for that address.
func (l *Lab) Other(p Program, arguments func(host, port string) ([]string, error)) (*Process, error) {
	address, err := freeaddr.New()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	args, err := arguments(host, port)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", p.Name, err)
	}
	return l.add(&Process{
		name: p.Name, path: p.Path, args: args, addr: address, env: maps.Clone(p.Env), ready: httpReady("http://" + address + p.Ready),
	}), nil
}
