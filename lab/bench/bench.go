package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/processes"
)

// rowLimit bounds one row, longLimit one that runs only when it is named, and runLimit a run
// whose rows are not named.
const (
	rowLimit  = 2 * time.Minute
	longLimit = 10 * time.Minute
	runLimit  = 15 * time.Minute
)

// Figure is one number of a row.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Beside describes what the machine itself did in the same run. Ratio is Value divided
	// by it; 0 without it.
	Beside string  `json:"beside,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"`
}

// Row is the figures of one kind of work with one setting of NATS_SYNC.
type Row struct {
	Name    string   `json:"name"`
	Sync    string   `json:"sync"`
	Figures []Figure `json:"figures"`
}

// Report is a whole run.
type Report struct {
	Machine map[string]string `json:"machine"`
	Took    time.Duration     `json:"tookNs"`
	Rows    []Row             `json:"rows"`
}

// Options say what is run.
type Options struct {
	// Rows are the names of the rows to run; empty means all but the long ones.
	Rows []string
	// Programs are the service's; see [processes.Build].
	Programs processes.Programs
	// Dir holds what the processes write, and is removed.
	Dir string
	// Log receives each row when it was measured; it may be nil.
	Log func(Row)
	// Skipped receives the name of each row that cannot run here, and why; it may be nil.
	Skipped func(name string, why error)
}

// row is one kind of work.
type row struct {
	name string
	// syncs are the settings of NATS_SYNC that affect the row.
	syncs []string
	run   func(ctx context.Context, s *system) ([]Figure, error)
	// long marks a row that takes minutes and runs only if it is named.
	long bool
	// gateways is how many gateways run; 0 means one, with the log inside.
	gateways int
	// peer runs in place of the gateway, and its figures are compared with those of the row
	// beside; nil for a row of the gateway.
	peer   *peer
	beside string
}

// always and interval are the settings of NATS_SYNC that are measured.
const (
	always   = "always"
	interval = "10s"
)

func rows() []row {
	own := []row{
		{name: "redis-to-log-64-jobs", syncs: []string{always, interval}, run: toLog(64)},
		{name: "redis-to-log-1-job", syncs: []string{always, interval}, run: toLog(1)},
		{name: "through-redis", syncs: []string{always, interval}, run: throughRedis},
		{name: "paced", syncs: []string{interval}, run: paced},
		{name: "burst", syncs: []string{interval}, run: burst},
		{name: "idle", syncs: []string{interval}, run: idle},
		{name: "storm", syncs: []string{interval}, run: storm},
		{name: "fresh-client", syncs: []string{interval}, run: freshClient},
		{name: "jitter", syncs: []string{interval}, run: jitter},
		{name: "avalanche", syncs: []string{interval}, run: avalanche},
		{name: "2-gateways", syncs: []string{interval}, run: costOfGateways, gateways: 2},
		{name: "4-gateways", syncs: []string{interval}, run: costOfGateways, gateways: 4},
		{name: "8-gateways", syncs: []string{interval}, run: costOfGateways, gateways: 8},
		{name: "1k-jobs", syncs: []string{interval}, run: manyJobs(1000), long: true},
		{name: "100k-jobs", syncs: []string{interval}, run: manyJobs(100_000), long: true},
		{name: "1m-jobs", syncs: []string{interval}, run: manyJobs(1_000_000), long: true},
		{name: "100k-followed-jobs", syncs: []string{interval}, run: followedJobs, long: true},
	}
	return append(own, peerRows()...)
}

// Names returns the names of all rows.
func Names() (names []string) {
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

func (o Options) chosen() ([]row, error) {
	if len(o.Rows) == 0 {
		return slices.DeleteFunc(rows(), func(r row) bool { return r.long }), nil
	}
	var chosen []row
	for _, name := range o.Rows {
		found := false
		for _, r := range rows() {
			if r.name == name {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no row %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return chosen, nil
}

// Run measures the rows, each on processes of its own.
func Run(ctx context.Context, o Options) (report Report, err error) {
	chosen, err := o.chosen()
	if err != nil {
		return Report{}, err
	}
	if len(o.Rows) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, runLimit)
		defer cancel()
	}
	began := time.Now()
	report.Machine = measure.Machine()
	for name, version := range o.Programs.Versions(ctx) {
		report.Machine[name] = version
	}
	for _, r := range chosen {
		program := ""
		if r.peer != nil {
			if program, err = r.peer.find(ctx); err != nil {
				if o.Skipped != nil {
					o.Skipped(r.name, err)
				}
				continue
			}
			report.Machine[r.peer.name] = r.peer.version(ctx, program)
		}
		for _, sync := range r.syncs {
			figures, err := measured(ctx, o, r, program, sync)
			if err != nil {
				return report, fmt.Errorf("row %s, NATS_SYNC=%s: %w", r.name, sync, err)
			}
			if r.peer != nil {
				compare(figures, report, r.beside)
			}
			done := Row{Name: r.name, Sync: sync, Figures: figures}
			report.Rows = append(report.Rows, done)
			if o.Log != nil {
				o.Log(done)
			}
		}
	}
	report.Took = time.Since(began)
	return report, nil
}

// measured runs a row once. program is the peer's, if the row has one.
func measured(ctx context.Context, o Options, r row, program, sync string) (figures []Figure, err error) {
	limit := rowLimit
	if r.long {
		limit = longLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp(o.Dir, r.name+"-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var s *system
	if lab := filepath.Join(dir, "lab"); r.peer != nil {
		s, err = startPeer(ctx, o.Programs, lab, r.peer, program)
	} else {
		s, err = start(ctx, o.Programs, lab, sync, max(r.gateways, 1))
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return r.run(ctx, s)
}

// Table writes a report as a Markdown table.
func (r Report) Table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprint(table, "| work\t| `NATS_SYNC`\t| figure\t| value\t| beside it\t| ratio\t|\n| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|\n")
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			ratio, sync := "", "`"+row.Sync+"`"
			if row.Sync == "" { // a peer
				sync = ""
			}
			if f.Ratio != 0 {
				ratio = fmt.Sprintf("%.2f", f.Ratio)
			}
			fmt.Fprintf(table, "| %s\t| %s\t| %s\t| %s %s\t| %s\t| %s\t|\n", row.Name, sync, f.Name, number(f.Value), f.Unit, f.Beside, ratio)
		}
	}
	return table.Flush()
}

// number formats a figure with three significant digits.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
