package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/lab/drills"
	"github.com/letswriteabook/realtime/operations"
	"github.com/letswriteabook/realtime/operations/erasure"
)

// runningFlags select the running system on which a drill is run.
type runningFlags struct {
	urls      []string
	iKnow     bool
	down, up  string
	tokenFile string
}

func (f *runningFlags) add(command *cobra.Command) {
	set := command.Flags()
	set.StringSliceVar(&f.urls, "url", nil, "run the drill on a running system: the base URL of one gateway, not of a balancer, such as http://127.0.0.1:3001; repeatable")
	set.BoolVar(&f.iKnow, "i-know", false, "with --url: run the drill; without --i-know it only prints what it would do")
	set.StringVar(&f.down, "down", "", "with --url: the shell command that stops the part of the system that the drill is about")
	set.StringVar(&f.up, "up", "", "with --url: the shell command that starts that part again")
	set.StringVar(&f.tokenFile, "token-file", "", "with --url: a file with the token of a client that may follow jobs whose names begin with drill-")
}

// system returns the running system, or nil if the drill starts one of its own.
func (f *runningFlags) system(cmd *cobra.Command, names []string) (*drills.Running, error) {
	if !cmd.Flags().Changed("url") {
		if f.iKnow || f.down != "" || f.up != "" || f.tokenFile != "" {
			return nil, errors.New("--i-know, --down, --up and --token-file need --url: without it, a drill runs on a system of its own")
		}
		return nil, nil
	}
	if len(f.urls) == 0 {
		return nil, errors.New("--url is empty: want a gateway's base URL, such as http://127.0.0.1:3001")
	}
	if len(names) != 1 || names[0] == allDrills {
		return nil, errors.New("only one drill at a time can run on a running system")
	}
	cfg, err := config.Load(env.ToMap(os.Environ()))
	if err != nil {
		return nil, err
	}
	if cfg.NATSURL == "" || cfg.RedisURL == "" {
		return nil, errors.New("NATS_URL and REDIS_URL have to be set to those of the running system; an embedded log is reached at its gateway's NATS_LISTEN")
	}
	running := &drills.Running{Down: f.down, Up: f.up}
	for _, text := range f.urls {
		at, err := url.Parse(text)
		if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
			return nil, fmt.Errorf("--url is %q: want a gateway's base URL, such as http://127.0.0.1:3001", text)
		}
		running.Gateways = append(running.Gateways, strings.TrimRight(text, "/"))
	}
	if f.tokenFile != "" {
		token, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		running.Token = strings.TrimSpace(string(token))
	}
	running.RedisURL, running.NATSURL, running.MongoURI = cfg.RedisURL, cfg.NATSURL, cfg.MongoDBURI
	running.InternalToken = cfg.InternalToken
	running.Prefix = "drill-" + time.Now().UTC().Format("20060102t150405") + "-"
	running.Forget = func(ctx context.Context, jobs []string) error { return eraseDrill(ctx, names[0], jobs, false) }
	return running, nil
}

// eraseDrill erases the jobs of a drill, as many as it can. In a dry run it checks that it
// could.
func eraseDrill(ctx context.Context, drill string, jobs []string, dryRun bool) error {
	by := cli.User()
	if by == "" {
		by = "realtime-lab drill"
	}
	var all error
	for _, job := range jobs {
		finish := "realtime erase " + job + " --reason drill"
		err := withOperator(ctx, func(operator *operations.Operator) error {
			request := erasure.Request{JobID: job, By: by, Reason: "the end of the drill " + drill}
			_, err := operator.Erase(ctx, request, finish, dryRun, func(string, uint64, uint64) {})
			return err
		})
		if err != nil && !errors.Is(err, erasure.ErrNothing) {
			all = errors.Join(all, fmt.Errorf("job %s: %w; %s finishes it", job, err, finish))
		}
	}
	return all
}

// withOperator calls f with the log and the read models of the settings in the environment.
func withOperator(ctx context.Context, f func(*operations.Operator) error) error {
	cfg, err := config.Load(env.ToMap(os.Environ()))
	if err != nil {
		return err
	}
	cfg.LogLevel = "warn" // the drill prints its progress itself
	operator, err := operations.Open(ctx, cfg, false, config.NewLogger(os.Stderr, cfg))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "log:", operator.Where(ctx))
	return errors.Join(f(operator), operator.Close())
}

// consent prints what drills will do to a running system, and fails without --i-know.
func (f *runningFlags) consent(ctx context.Context, chosen []drills.Drill, running *drills.Running, scale drills.Scale) error {
	if running == nil {
		return nil
	}
	for _, d := range chosen {
		plan, err := d.Plan(*running, scale)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s will do this to a system that it did not start:\n", d.Name)
		for _, line := range plan {
			fmt.Fprintln(os.Stderr, "  -", line)
		}
	}
	if !f.iKnow {
		return errors.New("nothing was done: say --i-know to have it done")
	}
	// Check beforehand that the drill can erase its jobs.
	if err := eraseDrill(ctx, chosen[0].Name, []string{running.Prefix + "0"}, true); err != nil {
		return fmt.Errorf("nothing was done: its jobs could not be erased in the end: %w", err)
	}
	return nil
}
