package main

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/report"
	"github.com/letswriteabook/realtime/lab/load/scenario"
)

// errScenarioFailed is returned when a scenario failed.
var errScenarioFailed = errors.New("the scenario failed")

func newLoadtest() *cobra.Command {
	command := &cobra.Command{
		Use:   "loadtest",
		Short: "Load a deployment as clients and workers do, and check what must hold",
		Long: `loadtest tests a deployment from outside: through its sockets, its metrics page, and the Redis that
its workers publish to. Each scenario is a command; "suite" runs several and leaves a
folder of results.

A scenario passes, fails, or is skipped if the deployment lacks what it tests, such as a
limit. The exit code is 0 unless one fails, and 2 for wrong usage. INTERNAL_TOKEN in
the environment opens the metrics page of a gateway on another machine; LOADTEST_TOKEN is
the token that the sockets connect with.`,
		Example: `  realtime-lab loadtest broadcast-burst --client-count 1000 --event-count 100
  realtime-lab loadtest suite --config loadtest.json --output out --label nightly
  realtime-lab loadtest compare-runs out.before out`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, s := range scenario.All() {
		command.AddCommand(newScenario(s))
	}
	command.AddCommand(newSuite(), newCompareMetrics(), newCompareRuns())
	return command
}

func newScenario(s scenario.Scenario) *cobra.Command {
	var target targetFlags
	var options optionFlags
	var asJSON bool
	command := &cobra.Command{
		Use:   s.Name,
		Short: s.Summary,
		Args:  cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := target.config(cmd)
			if err != nil {
				return err
			}
			chosen, err := cfg.For(s.Name, s.Defaults, options.changed(cmd))
			if err != nil {
				return cli.Usage(err)
			}
			shown := cli.NewProgress()
			result := s.Run(cmd.Context(), environment(cfg, shown, s.Name), chosen)
			shown.End()
			if asJSON {
				err = cli.Render(cmd.OutOrStdout(), "json", result, nil)
			} else {
				err = report.Text(cmd.OutOrStdout(), result)
			}
			if result.Status == load.Failed {
				err = errors.Join(err, fmt.Errorf("%w: %s", errScenarioFailed, result.Scenario))
			}
			return err
		},
	}
	target.add(command)
	options.add(command, &s)
	command.Flags().BoolVar(&asJSON, "json", false, "print the whole result as JSON")
	return command
}

// environment returns the environment in which the scenarios of a command run.
func environment(cfg load.Config, shown *cli.Progress, name string) scenario.Env {
	var mu sync.Mutex // guards shown
	return scenario.Env{Config: cfg, Progress: func(step string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		shown.Report(name+": "+step, uint64(done), uint64(total))
	}}
}

// targetFlags select the deployment to load.
type targetFlags struct {
	file string
	cfg  load.Config
}

func (f *targetFlags) add(command *cobra.Command) {
	d := load.DefaultConfig()
	flags := command.Flags()
	flags.StringVar(&f.file, "config", "", "JSON file with these settings, options and scenarioOptions; flags override it")
	flags.StringVar(&f.cfg.APIURL, "api-url", d.APIURL, "address of the gateway, or of several, separated by commas")
	flags.StringVar(&f.cfg.MetricsPath, "metrics-path", d.MetricsPath, "path of its metrics page")
	flags.StringVar(&f.cfg.WebsocketPath, "websocket-path", d.WebsocketPath, "path of its sockets")
	// The harness of the Node gateway uses this name.
	flags.StringVar(&f.cfg.WebsocketPath, "ws-path", d.WebsocketPath, "the same as --websocket-path")
	flags.StringVar(&f.cfg.Origin, "origin", d.Origin, "origin that sockets send, or several, separated by commas; empty: none")
	flags.StringVar(&f.cfg.AlternateOrigin, "alternate-origin", d.AlternateOrigin, "another origin, which origin-quota tries once the limit of the first is met; empty: it does not")
	flags.StringVar(&f.cfg.RedisURL, "redis-url", d.RedisURL, "Redis that workers publish to; empty: none")
	flags.StringVar(&f.cfg.MongoURI, "mongo-uri", d.MongoURI, "MongoDB in which catch-up-burst seeds, with its database; empty: it publishes")
	flags.IntVar(&f.cfg.ConnectTimeoutMs, "connect-timeout", d.ConnectTimeoutMs, "milliseconds that a socket may take to join")
	flags.IntVar(&f.cfg.DisconnectTimeoutMs, "disconnect-timeout", d.DisconnectTimeoutMs, "milliseconds until a closed socket must be gone from the metrics page")
}

// config returns the settings of the file, overridden by the flags that were given.
func (f *targetFlags) config(cmd *cobra.Command) (load.Config, error) {
	cfg := load.DefaultConfig()
	if f.file != "" {
		var err error
		if cfg, err = load.LoadConfig(f.file, scenario.Names()); err != nil {
			return cfg, cli.Usage(err)
		}
	}
	given := func(flag string) bool { return cmd.Flags().Changed(flag) }
	if given("ws-path") {
		cfg.WebsocketPath = f.cfg.WebsocketPath
	}
	for flag, text := range map[string]struct{ from, into *string }{
		"api-url": {&f.cfg.APIURL, &cfg.APIURL}, "metrics-path": {&f.cfg.MetricsPath, &cfg.MetricsPath},
		"websocket-path": {&f.cfg.WebsocketPath, &cfg.WebsocketPath}, "origin": {&f.cfg.Origin, &cfg.Origin},
		"alternate-origin": {&f.cfg.AlternateOrigin, &cfg.AlternateOrigin},
		"redis-url":        {&f.cfg.RedisURL, &cfg.RedisURL}, "mongo-uri": {&f.cfg.MongoURI, &cfg.MongoURI},
	} {
		if given(flag) {
			*text.into = *text.from
		}
	}
	if given("connect-timeout") {
		cfg.ConnectTimeoutMs = f.cfg.ConnectTimeoutMs
	}
	if given("disconnect-timeout") {
		cfg.DisconnectTimeoutMs = f.cfg.DisconnectTimeoutMs
	}
	cfg.InternalToken, cfg.Token = os.Getenv("INTERNAL_TOKEN"), os.Getenv("LOADTEST_TOKEN")
	if err := cfg.Validate(); err != nil {
		return cfg, cli.Usage(err)
	}
	return cfg, nil
}

// optionFlags are the options of scenarios as flags.
type optionFlags struct {
	values load.Options
	// skipRedisReset prevents a reset of Redis, whatever the file says, because others may
	// use it.
	skipRedisReset bool
}

// add adds the options that a scenario uses, with its defaults; nil adds all options, for
// several scenarios with defaults of their own.
func (f *optionFlags) add(command *cobra.Command, s *scenario.Scenario) {
	var defaults load.Options
	if s != nil {
		defaults = s.Defaults
	}
	flags := command.Flags()
	if s == nil || s.Heeds(load.Key{Name: "redisResetSequence"}) {
		flags.BoolVar(&f.skipRedisReset, "skip-redis-reset", os.Getenv("STAGING") == "true", "reset no Redis, whatever the file says; the default where STAGING=true")
	}
	for _, key := range load.Keys() {
		if s != nil && !s.Heeds(key) {
			continue
		}
		if number := key.Number(&f.values); number != nil {
			flags.IntVar(number, key.Flag, *key.Number(&defaults), key.Usage)
		} else {
			flags.StringVar(key.Text(&f.values), key.Flag, *key.Text(&defaults), key.Usage)
		}
	}
}

// changed returns a function that sets the options whose flags were given.
func (f *optionFlags) changed(cmd *cobra.Command) func(*load.Options) {
	return func(o *load.Options) {
		for _, key := range load.Keys() {
			if !cmd.Flags().Changed(key.Flag) {
				continue
			}
			if number := key.Number(o); number != nil {
				*number = *key.Number(&f.values)
			} else {
				*key.Text(o) = *key.Text(&f.values)
			}
		}
		if f.skipRedisReset {
			o.RedisResetSequence = 0
		}
	}
}
