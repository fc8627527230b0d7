package bench

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/letswriteabook/realtime/lab/processes"
)

// A peer that is installed delivers each event once to each client.
func TestPeersDeliver(t *testing.T) {
	t.Parallel()
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip(err)
	}
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			program, err := p.find(t.Context())
			if err != nil {
				t.Skip(err)
			}
			s, err := startPeer(t.Context(), processes.Programs{Realtime: "none", Redis: redis}, filepath.Join(t.TempDir(), "lab"), p, program)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			}()
			figures, err := s.deliver(t.Context(), "job", 5, func(job string) error { return s.publishAll(t.Context(), []string{job}, 0, 10) }, 10, nil)
			if err != nil || len(figures) == 0 {
				t.Errorf("delivered %+v: %v", figures, err)
			}
			if !p.history {
				return
			}
			if figures, err := freshClient(t.Context(), s); err != nil || len(figures) == 0 {
				t.Errorf("a client that missed events: %+v: %v", figures, err)
			}
		})
	}
}

// A peer that is not installed is left out, and the run goes on.
func TestMissingPeerIsSkipped(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var skipped []string
	report, err := Run(t.Context(), Options{
		Rows: []string{"paced-centrifugo", "burst-socket.io"},
		Skipped: func(name string, why error) {
			if !errors.Is(why, errNoPeer) {
				t.Errorf("%s: %v", name, why)
			}
			skipped = append(skipped, name)
		},
	})
	if err != nil || len(report.Rows) != 0 || len(skipped) != 2 {
		t.Errorf("skipped %q, measured %v: %v", skipped, report.Rows, err)
	}
}

func TestPeerIsComparedWithTheGateway(t *testing.T) {
	t.Parallel()
	report := Report{Rows: []Row{
		{Name: "through-redis", Sync: always, Figures: []Figure{{Name: "p50", Value: 1}}},
		{Name: "through-redis", Sync: interval, Figures: []Figure{{Name: "p50", Value: 4}}},
	}}
	figures := []Figure{{Name: "p50", Value: 10}, {Name: "p99", Value: 20}}
	compare(figures, report, "through-redis")
	if figures[0].Ratio != 2.5 || figures[0].Beside != "4.00 in the row through-redis" || figures[1].Ratio != 0 {
		t.Errorf("compared: %+v", figures)
	}
}
