package baseline

import (
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/lab/load"
)

// row is a line of the table that compares configurations.
type row struct {
	words, scenario, figure, unit string
	scale                         float64
}

// rows are the figures that matter most.
var rows = []row{
	{"broadcast to 200, p50", "broadcast-burst", "latencyP50Ms", "ms", 1},
	{"broadcast to 200, p95", "broadcast-burst", "latencyP95Ms", "ms", 1},
	{"broadcast to 200, p99", "broadcast-burst", "latencyP99Ms", "ms", 1},
	{"replay of 120 events, p50", "catch-up-burst", "replayP50Ms", "ms", 1},
	{"replay of 120 events, p95", "catch-up-burst", "replayP95Ms", "ms", 1},
	{"publisher's connections cut: recovery", "reset-publisher", "recoveryMs", "ms", 1},
	{"publisher's connections cut: events lost", "reset-publisher", "lostEvents", "", 1},
	{"gateways' subscriptions cut: recovery", "reset-subscriber", "recoveryMs", "ms", 1},
	{"gateways' subscriptions cut: events lost", "reset-subscriber", "lostEvents", "", 1},
	{"Redis killed and restarted: recovery", "reset-server", "recoveryMs", "ms", 1},
	{"Redis killed and restarted: events lost", "reset-server", "lostEvents", "", 1},
	{"400 sockets back with 120 events each, slowest", "reconnect-storm", "resumeMaxMs", "ms", 1},
	{"events replayed by them", "reconnect-storm", "replayedPerSecond", "/s", 1},
	{"deliveries to others while some do not read, p95", "slow-clients", "latencyP95Ms", "ms", 1},
	{"connect, catch up, leave", "churn", "visitsPerSecond", "/s", 1},
	{"sockets held and subscribed", "sockets", "heldConnections", "", 1},
	{"memory per socket", "sockets", "memoryPerSocketBytes", "KiB", 1024},
}

// compared writes the main figures of all configurations side by side.
func compared(runs []*run) string {
	var b strings.Builder
	b.WriteString("# Baseline\n\n|")
	for _, r := range runs {
		fmt.Fprintf(&b, " | [%s](%s/report.md)", r.cfg.Name, r.cfg.Name)
	}
	b.WriteString(" |\n|" + strings.Repeat(" --- |", len(runs)+1) + "\n| deployment")
	for _, r := range runs {
		b.WriteString(" | " + r.cfg.Summary)
	}
	b.WriteString(" |\n| scenarios passed")
	for _, r := range runs {
		fmt.Fprintf(&b, " | %d of %d", r.summary.Passed, len(r.results))
	}
	b.WriteString(" |\n")
	for _, row := range rows {
		b.WriteString("| " + row.words)
		for _, r := range runs {
			b.WriteString(" | " + row.value(r.results))
		}
		b.WriteString(" |\n")
	}
	if len(runs) > 0 {
		m := runs[0].summary.Machine
		fmt.Fprintf(&b, "\n%s, %s, %s, memory %s; %s; %s; %s.\n", m["processor"], m["system"], m["kernel"], m["memory"], m["go"], m["nats-server"], m["redis-server"])
	}
	return b.String()
}

func (row row) value(results []load.Result) string {
	for _, result := range results {
		if value, has := result.Figures[row.figure]; has && result.Scenario == row.scenario {
			return strings.TrimSpace(fmt.Sprintf("%.4g %s", value/row.scale, row.unit))
		}
	}
	return "–"
}
