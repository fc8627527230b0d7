package baseline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/report"
	"github.com/letswriteabook/realtime/lab/load/scenario"
	"github.com/letswriteabook/realtime/lab/load/suite"
	"github.com/letswriteabook/realtime/lab/processes"
)

// errFailed is returned when a scenario failed or a budget was exceeded.
var errFailed = errors.New("the load test failed")

// stopTimeout bounds the orderly stop of a gateway between two stages.
const stopTimeout = 20 * time.Second

// Options say what is run.
type Options struct {
	Configurations []Configuration
	// Smoke runs the short stages.
	Smoke   bool
	Budgets load.Budgets
	// Dir gets the reports; empty: none are written.
	Dir string
	// Log receives one line for each result, and Progress receives the progress of a step;
	// both may be nil.
	Log      func(line string)
	Progress func(step string, done, total int)
}

// run is one configuration under load.
type run struct {
	opts     Options
	cfg      Configuration
	lab      *processes.Lab
	dir      string // for files that are not kept
	gateways []*processes.Process
	results  []load.Result
	summary  suite.Summary
}

// Run loads every configuration in turn. The error matches errFailed if a scenario failed
// or a budget was exceeded; the reports are written in this case too.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "realtime-lab baseline-")
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := processes.Build(ctx, ".", filepath.Join(dir, "bin"))
	if err != nil {
		return err
	}
	failed := 0
	var runs []*run
	for _, cfg := range o.Configurations {
		r := &run{opts: o, cfg: cfg, dir: filepath.Join(dir, cfg.Name)}
		if err := r.carryOut(ctx, programs); err != nil {
			return fmt.Errorf("configuration %s: %w", cfg.Name, err)
		}
		runs = append(runs, r)
		failed += r.summary.Failed
	}
	if o.Dir != "" {
		if err := os.WriteFile(filepath.Join(o.Dir, "baseline.md"), []byte(compared(runs)), 0o644); err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d scenarios", errFailed, failed)
	}
	return nil
}

// carryOut starts the deployment, runs the stages, and writes the report.
func (r *run) carryOut(ctx context.Context, programs processes.Programs) (err error) {
	r.lab, err = processes.New(processes.Config{Programs: programs, Dir: filepath.Join(r.dir, "lab"), Nodes: r.cfg.Nodes, Sync: r.cfg.Sync})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.lab.Close()) }()
	if err := r.lab.Start(ctx); err != nil {
		return err
	}
	for range r.cfg.Gateways {
		gateway, err := r.lab.Gateway(nil)
		if err != nil {
			return err
		}
		r.gateways = append(r.gateways, gateway)
	}
	r.summary = suite.Summary{Label: r.cfg.Name, Status: load.Passed, StartedAt: time.Now().UTC(), Machine: measure.Machine()}
	maps.Copy(r.summary.Machine, programs.Versions(ctx))
	r.summary.Machine["configuration"] = r.cfg.Summary
	stages := fullStages()
	if r.opts.Smoke {
		stages = smokeStages()
	}
	for i, s := range stages {
		if err := r.stage(ctx, i, s); err != nil {
			return err
		}
	}
	r.summary.DurationMs = measure.Ms(time.Since(r.summary.StartedAt))
	if r.opts.Dir == "" {
		return nil
	}
	dir := filepath.Join(r.opts.Dir, r.cfg.Name)
	return errors.Join(suite.Save(dir, r.summary, r.results), report.Write(dir, r.summary, r.results))
}

// stage starts the gateways with its settings, and runs its scenarios.
func (r *run) stage(ctx context.Context, number int, s stage) error {
	if err := r.restart(ctx, s.settings); err != nil {
		return err
	}
	var urls []string
	for _, gateway := range r.gateways {
		urls = append(urls, "http://"+gateway.Addr())
	}
	cfg := load.DefaultConfig()
	cfg.APIURL, cfg.RedisURL = strings.Join(urls, ","), r.lab.RedisURL()
	cfg.Origin = "http://one.example,http://two.example,http://three.example"
	for _, name := range s.scenarios {
		one, _ := scenario.Find(name)
		_, results, err := suite.Run(ctx, suite.Options{
			Label: r.cfg.Name, Dir: filepath.Join(r.dir, fmt.Sprintf("stage-%d", number)), Scenarios: []scenario.Scenario{one}, Repeat: s.repeat,
			Env: scenario.Env{Config: cfg, RestartRedis: r.restartRedis, Progress: r.opts.Progress},
			Flags: func(o *load.Options) {
				if s.options != nil {
					s.options(name, o)
				}
			},
		})
		if err != nil && !errors.Is(err, suite.ErrFailed) {
			return err
		}
		r.take(s, results[0])
	}
	return nil
}

// take compares a result with the budgets and adds it to the report, under the name of its
// stage if that has one. The stages give the gateways everything that the scenarios need,
// so a skipped scenario means that a setting did not arrive.
func (r *run) take(s stage, result load.Result) {
	if s.name != "" {
		result.Scenario = s.name
	}
	result.MustRun()
	r.opts.Budgets.Apply(&result)
	r.results = append(r.results, result)
	r.summary.Add(result)
	r.log(fmt.Sprintf("%-8s %-9s %-18s %6.1f s  %s", result.Status, r.cfg.Name, result.Scenario, result.DurationMs/1000, result.Reason))
}

func (r *run) log(line string) {
	if r.opts.Log != nil {
		r.opts.Log(line)
	}
}

// restart restarts the gateways with a stage's settings.
func (r *run) restart(ctx context.Context, settings map[string]string) error {
	for _, gateway := range r.gateways {
		if gateway.Running() {
			stopping, cancel := context.WithTimeout(ctx, stopTimeout)
			err := gateway.Stop(stopping)
			cancel()
			if err != nil { // it was killed; the next stage starts it again
				r.log(fmt.Sprintf("%s did not stop in order: %.300s", gateway.Name(), err))
			}
		}
		for name, value := range settings {
			gateway.Set(name, value)
		}
	}
	for _, gateway := range r.gateways {
		if err := gateway.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// restartRedis kills the server, as a crash does, and starts it again.
func (r *run) restartRedis(ctx context.Context, down time.Duration) error {
	r.lab.Redis().Kill()
	if err := wait.For(ctx, down); err != nil {
		return err
	}
	return r.lab.Redis().Start(ctx)
}
