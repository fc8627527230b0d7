package scenario_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letswriteabook/realtime/lab/load/scenario"
)

// Of several gateways one alone that keeps what has left is found, whichever it is.
func TestEveryGatewayForgets(t *testing.T) {
	t.Parallel()
	d := deploy(t, nil)
	for name, want := range map[string][]string{
		"broadcast-burst": {"metrics are back"}, "reconnect-storm": {"metrics forget who was cut", "metrics are back"},
	} {
		var asked atomic.Int64
		second := (&tamper{page: func(page map[string]any) {
			if asked.Add(1) > 1 { // the first page is the one before
				page["totalConnections"] = page["totalConnections"].(float64) + 1
			}
		}}).front(t, d.URL)
		cfg := d.config(d.URL + "," + second)
		cfg.DisconnectTimeoutMs = 1000
		fails(t, run(t, scenario.Env{Config: cfg}, name, small), want...)
	}
}

// A gateway that goes on counting the sockets that entered last is found.
func TestQuotaFindsWhatIsLeftAtTheEnd(t *testing.T) {
	t.Parallel()
	d := deploy(t, limits)
	var mu sync.Mutex // guards full and emptied: each page has a goroutine of its own
	full, emptied := false, false
	front := (&tamper{page: func(page map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		total, limit := page["totalConnections"].(float64), page["maxConnections"].(float64)
		switch {
		case emptied: // once before, which holds
			page["totalConnections"] = total + 1
		case full:
			emptied = total == 0
		default:
			full = total >= limit
		}
	}}).front(t, d.URL)
	cfg := d.config(front)
	cfg.DisconnectTimeoutMs = 5000
	fails(t, run(t, scenario.Env{Config: cfg}, "connection-quota", small), "slots are free at the end")
}
