package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/lab/oracle"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
	"github.com/letswriteabook/realtime/lab/volume"
)

// The defaults of a [System].
const (
	defaultJobs       = 12
	defaultEventBytes = 300
	defaultOutbox     = 20_000
	followedJobs      = 12
)

// Trial is one row's run. Its exported methods are for the goroutine of the row.
type Trial struct {
	Lab      *processes.Lab
	Gateways []*processes.Process
	Journal  *oracle.Journal
	Outbox   *Outbox
	// Full selects the length that the matrix names, and Short that of the continuous
	// integration.
	Full, Short bool

	logger    *slog.Logger
	system    System
	dir       string
	jobs      []string
	followers []*follower
	sockets   []*visitor
	proxy     *processes.Proxy
	recovery  time.Duration
	shortened string
	notes     []string
	measures  []report.Measure
	cleanup   []func() error // before the lab's folder is removed
	checks    []report.Check
	moments   moments
	log       func(line string)
	running   *Running // nil: the lab's own system
	undos     []*undo
	volumes   map[*processes.Process]*volume.Volume // of System.Volatile
	purged    bool                                  // clients that connect from now on must receive a gap
	renewed   bool                                  // the clients were told of a new epoch; later clients begin in it
}

// newTrial starts the system of a row, with its files in dir, or uses the running one.
func newTrial(ctx context.Context, row Row, options Options, dir string) (*Trial, error) {
	system := row.System
	system.Gateways, system.Jobs = max(system.Gateways, 1), orElse(system.Jobs, defaultJobs)
	system.EventBytes, system.Outbox = orElse(system.EventBytes, defaultEventBytes), orElse(system.Outbox, defaultOutbox)
	if system.Sync == "" {
		system.Sync = "10s"
	}
	t := &Trial{Full: options.Full, Short: options.Short, logger: slog.New(slog.DiscardHandler), system: system, dir: dir, log: options.Log, running: options.Running}
	if t.Running() {
		if err := t.attach(ctx); err != nil {
			return nil, errors.Join(err, t.close(ctx))
		}
		return t, nil
	}
	var err error
	t.Lab, err = processes.New(processes.Config{
		Programs: options.Programs, Dir: filepath.Join(dir, "lab"), Keep: options.Keep,
		Nodes: system.Nodes, Replicas: system.Replicas, Sync: system.Sync, Mongo: system.Mongo,
	})
	if err != nil {
		return nil, err
	}
	if err := t.start(ctx); err != nil {
		return nil, errors.Join(err, t.close(ctx))
	}
	return t, nil
}

func (t *Trial) start(ctx context.Context) error {
	var err error
	if t.Journal, err = oracle.Open(filepath.Join(t.dir, "journal")); err != nil {
		return err
	}
	for n := range t.Lab.Nodes() {
		if err := t.mount(t.Lab.NATS(n)); err != nil {
			return err
		}
	}
	if err := t.Lab.Start(ctx); err != nil {
		return err
	}
	env := map[string]string{}
	if t.system.MongoProxy {
		if t.proxy, err = processes.NewProxy(t.Lab.Mongo().Addr()); err != nil {
			return err
		}
		env["MONGODB_URI"] = strings.Replace(t.Lab.MongoURI(), t.Lab.Mongo().Addr(), t.proxy.Addr(), 1)
	}
	for name, value := range t.system.Env {
		env[name] = strings.ReplaceAll(value, "{lab}", t.Lab.Dir())
	}
	for n := range t.system.Gateways {
		if len(t.system.Roles) > 0 {
			env["ROLES"] = t.system.Roles[n]
		}
		gateway, err := t.Lab.Gateway(env)
		if err != nil {
			return err
		}
		if t.Lab.Nodes() == 0 {
			if err := t.mount(gateway); err != nil {
				return err
			}
		}
		if err := gateway.Start(ctx); err != nil {
			return err
		}
		t.Gateways = append(t.Gateways, gateway)
	}
	for i := range t.system.Jobs {
		t.jobs = append(t.jobs, fmt.Sprintf("job-%d", i))
	}
	if t.system.Worker {
		t.Outbox, err = newWorkerOutbox(ctx, t.Lab, t.system.Outbox, t.Journal)
	} else {
		t.Outbox, err = newOutbox(ctx, t.Lab.RedisURL(), t.system.Outbox, t.Journal)
	}
	if err != nil {
		return err
	}
	t.Follow(ctx, earlyClient)
	return nil
}

// Follow adds a client that follows the first jobs from their beginning, and reconnects to
// any gateway; with System.Sockets, also one over Socket.IO.
func (t *Trial) Follow(ctx context.Context, name string) {
	jobs := t.jobs[:min(len(t.jobs), followedJobs)]
	positions := map[string]string{}
	for _, job := range jobs {
		positions[job] = beginning
	}
	epoch := epochSame
	if t.renewed {
		epoch = epochRenewed
	}
	t.follow(ctx, name, positions, epoch)
	if t.system.Sockets {
		v := &visitor{name: name + "-socket", gateways: t.addresses(1), notes: t.Journal}
		v.visit(ctx, jobs)
		t.sockets = append(t.sockets, v)
	}
}

// follow adds a client over Server-Sent Events.
func (t *Trial) follow(ctx context.Context, name string, positions map[string]string, epoch epochState) {
	token := ""
	if t.Running() {
		token = t.running.Token
	}
	t.followers = append(t.followers, follow(ctx, name, t.addresses(0), token, positions, epoch, t.Journal))
}

// Load publishes rate events per second, for one job after the other, until stop is called.
// Events that the outbox refuses are skipped.
func (t *Trial) Load(rate int) (stop func()) {
	if t.system.Worker {
		rate /= 4 // after a loss, its job waits for the worker's receipt timeout
	}
	t.moments.begin()
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { // ends with stop
		const ticks = 50 // per second
		tick := time.NewTicker(time.Second / ticks)
		defer tick.Stop()
		for next, ticked := 0, 0; ; {
			// The rate may be below one event per tick, or no multiple of the ticks.
			for ticked++; next < ticked*rate/ticks; next++ {
				_ = t.Outbox.Publish(t.jobs[next%len(t.jobs)], t.system.EventBytes)
			}
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	})
	return sync.OnceFunc(func() { close(ended); running.Wait() })
}

// Recovered records how long a recovery took. The longest recovery is judged.
func (t *Trial) Recovered(took time.Duration) { t.recovery = max(t.recovery, took) }

// Resumed waits until an event that was published after since is acknowledged, and records
// the time from since as a recovery.
func (t *Trial) Resumed(ctx context.Context, since time.Time) error {
	took, err := t.Outbox.AwaitFresh(ctx, since)
	t.Recovered(took)
	return err
}

// Note adds a sentence to the report.
func (t *Trial) Note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Measure adds a figure to the report.
func (t *Trial) Measure(name string, value float64, unit string) {
	t.measures = append(t.measures, report.Measure{Name: name, Value: value, Unit: unit})
}

// Scaled returns the figure for the length of this run, and adds a note if it is not that of
// the matrix, full.
func (t *Trial) Scaled(what string, full, usual, short int) int {
	figure := usual
	if t.Full {
		figure = full
	} else if t.Short {
		figure = short
	}
	if figure < full {
		t.shortened = strings.TrimPrefix(t.shortened+fmt.Sprintf("; %s: %d of %d", what, figure, full), "; ")
	}
	return figure
}

// settle waits until the system is quiet, and reads back what it has stored. A client that
// connects only then must receive all of it, too.
func (t *Trial) settle(ctx context.Context) error {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return err
	}
	log, done, err := t.OpenLog(ctx)
	if err != nil {
		return fmt.Errorf("open the log to read it back: %w", err)
	}
	defer done()
	heads, err := t.readLog(ctx, log, t.Journal.Stored)
	if err != nil {
		return fmt.Errorf("read the log back: %w", err)
	}
	if t.system.Mongo {
		if err := t.readMongo(ctx, log); err != nil {
			return err
		}
	}
	t.Follow(ctx, lateClient)
	for _, f := range t.followers {
		if err := f.await(ctx, heads); err != nil {
			return err
		}
	}
	for _, v := range t.sockets {
		if err := v.await(ctx, heads); err != nil {
			return err
		}
	}
	for _, f := range t.followers {
		if err := f.judgeGaps(t.purged && f.name == lateClient); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything that the trial has started, and undoes its changes to a running
// system.
func (t *Trial) close(ctx context.Context) error {
	for _, f := range t.followers {
		f.close()
	}
	for _, v := range t.sockets {
		v.close()
	}
	if t.Outbox != nil {
		t.Outbox.close()
	}
	if t.proxy != nil {
		t.proxy.Close()
	}
	var err error
	if t.Journal != nil {
		err = t.Journal.Close()
	}
	for _, p := range t.Gateways {
		p.Kill()
	}
	for _, clean := range t.cleanup {
		err = errors.Join(err, clean())
	}
	if t.Running() {
		return errors.Join(err, t.undoAll(ctx), t.forget(ctx))
	}
	return errors.Join(err, t.Lab.Close())
}

// lastWords returns the end of the output of each process of the lab.
func (t *Trial) lastWords() string {
	if t.Lab == nil {
		return ""
	}
	var all []string
	for _, p := range slices.Concat(t.Gateways, []*processes.Process{t.Lab.Redis(), t.Lab.Mongo()}) {
		words := p.LastWords()
		all = append(all, fmt.Sprintf("== %s\n%s", p.Name(), words[max(0, len(words)-3000):]))
	}
	return strings.Join(all, "\n")
}

func orElse(value, otherwise int) int {
	if value == 0 {
		return otherwise
	}
	return value
}
