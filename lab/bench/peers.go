package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/letswriteabook/realtime/lab/processes"
)

// errNoPeer is matched if a peer is not installed.
var errNoPeer = errors.New("not installed")

// peer is another server that does the same work in the same run, so that the two can be
// compared. It has a Prometheus page with the figures of its process.
type peer struct {
	name string
	// find returns the program, or an error that matches [errNoPeer].
	find func(ctx context.Context) (program string, err error)
	// version returns the version of a found program.
	version func(ctx context.Context, program string) string
	// process prepares the server on the redis-server of the system.
	process func(ctx context.Context, s *system, program string) (*processes.Process, error)
	// follow connects a client that follows a job and counts what it receives in c; nil if
	// the clients of a gateway can do it. With all it also requests every event that the peer
	// keeps. The returned function disconnects the client.
	follow func(ctx context.Context, c *clients, addr string, number int, job string, all bool) (leave func(), err error)
	// publish publishes events of a job; nil if the peer reads them from Redis as a gateway does.
	publish func(ctx context.Context, addr, job string, bodies [][]byte) error
	// history is true if the peer keeps events and sends them to a client that requests them.
	// An event is kept when publish returns.
	history bool
}

// peers are the known ones.
func peers() []*peer { return []*peer{centrifugo(), socketIO()} }

// peerRows returns the rows of a gateway that peers can do, too, for each peer.
func peerRows() (all []row) {
	for _, p := range peers() {
		same := []row{{name: "through-redis", run: throughRedis}, {name: "paced", run: paced}, {name: "burst", run: burst}, {name: "idle", run: idle}}
		if p.history {
			same = append(same, row{name: "storm", run: storm}, row{name: "fresh-client", run: freshClient})
		}
		for _, of := range same {
			all = append(all, row{name: of.name + "-" + p.name, syncs: []string{""}, run: of.run, peer: p, beside: of.name})
		}
	}
	return all
}

// startPeer starts a redis-server and a peer.
func startPeer(ctx context.Context, programs processes.Programs, dir string, p *peer, program string) (*system, error) {
	return newSystem(ctx, processes.Config{Programs: programs, Dir: dir}, func(s *system) error {
		server, err := p.process(ctx, s, program)
		if err != nil {
			return err
		}
		s.peer, s.gateways = p, []*processes.Process{server}
		return server.Start(ctx)
	})
}

// compare sets beside each figure of a peer that of the gateway in the same run. Without a
// row of the gateway the figures stay alone.
func compare(figures []Figure, report Report, beside string) {
	for _, of := range report.Rows {
		if of.Name != beside || of.Sync != interval {
			continue
		}
		for i := range figures {
			for _, own := range of.Figures {
				if own.Name == figures[i].Name && own.Value > 0 {
					figures[i].Beside, figures[i].Ratio = fmt.Sprintf("%s in the row %s", number(own.Value), beside), figures[i].Value/own.Value
				}
			}
		}
	}
}
