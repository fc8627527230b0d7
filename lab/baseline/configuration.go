package baseline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/letswriteabook/realtime/lab/load"
)

// Configuration is what a deployment consists of.
type Configuration struct {
	Name    string
	Summary string
	// Nodes is the number of NATS servers; 0 means a log inside the gateway. Gateways is the
	// number of gateways.
	Nodes, Gateways int
	// Sync is when the log is written to disk; empty means for each event before its
	// receipt.
	Sync string
}

// configurations returns all configurations.
func configurations() []Configuration {
	return []Configuration{
		{Name: "embedded", Summary: "one gateway with its log inside", Gateways: 1},
		{Name: "interval", Summary: "the same, written to disk every 10 s (NATS_SYNC=10s)", Gateways: 1, Sync: "10s"},
		{Name: "external", Summary: "one gateway, one NATS server", Nodes: 1, Gateways: 1},
		{Name: "cluster", Summary: "three gateways, three NATS servers, every event on all three", Nodes: 3, Gateways: 3},
	}
}

// Choose returns the configurations with these names, separated by commas.
func Choose(names string) ([]Configuration, error) {
	all := configurations()
	var chosen []Configuration
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(c Configuration) bool { return c.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no configuration %q: there are embedded, interval, external and cluster", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// stage is a gateway's settings and the scenarios that run against it.
type stage struct {
	// name may be empty; then the results are distinguished by their scenarios.
	name      string
	settings  map[string]string
	scenarios []string
	repeat    int
	options   func(scenario string, o *load.Options)
}

// limits are the settings for scenarios that test limits.
var limits = map[string]string{
	"SOCKET_MAX_CONNECTIONS": "60", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "40",
	"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "20", "SOCKET_IDLE_TIMEOUT_MS": "2000",
}

// open are the settings without limits, which are the defaults.
var open = map[string]string{
	"SOCKET_MAX_CONNECTIONS": "0", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "0",
	"SOCKET_MAX_SUBSCRIPTIONS_PER_CLIENT": "20", "SOCKET_IDLE_TIMEOUT_MS": "300000",
}

// smokeStages take less than two minutes.
func smokeStages() []stage {
	return []stage{
		{settings: limits, scenarios: []string{"connection-quota", "origin-quota", "subscription-cap", "idle-eviction"}, repeat: 1},
		{settings: open, scenarios: []string{"catch-up-burst", "broadcast-burst"}, repeat: 3},
		{settings: open, scenarios: []string{"reconnect-storm", "slow-clients", "churn", "soak"}, repeat: 1, options: func(_ string, o *load.Options) {
			if o.DurationMs > 0 {
				o.DurationMs = 6000
			}
		}},
		reset(load.ResetPublisher, 1), reset(load.ResetSubscriber, 1), reset(load.ResetServer, 1),
	}
}

// sockets is the number of sockets held in a baseline, and socketJobs the number of jobs
// that they follow.
const (
	sockets    = 8000
	socketJobs = 800
)

// fullStages returns the stages of a baseline.
func fullStages() []stage {
	return []stage{
		{settings: limits, scenarios: []string{"connection-quota", "origin-quota", "subscription-cap", "idle-eviction"}, repeat: 1},
		{settings: open, scenarios: []string{"catch-up-burst", "broadcast-burst"}, repeat: 5},
		{settings: open, scenarios: []string{"reconnect-storm", "slow-clients", "churn", "soak"}, repeat: 1},
		reset(load.ResetPublisher, 3), reset(load.ResetSubscriber, 3), reset(load.ResetServer, 3),
		{name: "sockets", settings: open, scenarios: []string{"soak"}, repeat: 1, options: func(_ string, o *load.Options) {
			o.ClientCount, o.JobCount, o.RatePerSecond, o.DurationMs = sockets, socketJobs, 100, 10_000
		}},
	}
}

// reset returns a stage with a burst during which a part of Redis is reset.
func reset(what string, repeat int) stage {
	return stage{name: "reset-" + what, settings: open, scenarios: []string{"broadcast-burst"}, repeat: repeat, options: func(_ string, o *load.Options) {
		o.RedisReset, o.RedisResetSequence = what, 25
		if what == load.ResetServer {
			// The later half of the burst waits for a process to start, which takes a while on
			// a busy machine. The stage checks only that all events arrive.
			o.LatencyThresholdMs = 5000
		}
	}}
}
