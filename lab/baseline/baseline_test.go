package baseline

import (
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/scenario"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := Choose("cluster, embedded")
	if err != nil || len(chosen) != 2 || chosen[0].Nodes != 3 || chosen[1].Nodes != 0 {
		t.Errorf("got %+v, %v", chosen, err)
	}
	if _, err := Choose("embedded,all"); err == nil {
		t.Error(`"all" was chosen`)
	}
}

// Every stage names scenarios that there are, and gives them options that hold.
func TestStages(t *testing.T) {
	t.Parallel()
	for _, stages := range [][]stage{smokeStages(), fullStages()} {
		names := map[string]bool{}
		for _, s := range stages {
			for _, name := range s.scenarios {
				found, known := scenario.Find(name)
				if !known {
					t.Errorf("there is no scenario %q", name)
				}
				options := found.Defaults
				if s.options != nil {
					s.options(name, &options)
				}
				if err := options.Validate(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if s.name != "" {
					name = s.name
				}
				if names[name] {
					t.Errorf("two results are called %q", name)
				}
				names[name] = true
			}
			if len(s.settings) != len(open) {
				t.Errorf("stage %q leaves settings of the stage before in force", s.name)
			}
		}
		for _, s := range scenario.All() {
			if !names[s.Name] {
				t.Errorf("no stage runs %s", s.Name)
			}
		}
	}
}

// A scenario that was skipped fails, with budgets and without.
func TestSkippedFails(t *testing.T) {
	t.Parallel()
	for _, budgets := range []load.Budgets{nil, {"soak": {"lostEvents": 0}}} {
		r := &run{opts: Options{Budgets: budgets}}
		r.take(stage{}, load.Result{Scenario: "origin-quota", Status: load.Skipped, Reason: "no limit"})
		if r.summary.Failed != 1 || r.summary.Skipped != 0 || !strings.Contains(r.results[0].Reason, "skipped: no limit") {
			t.Errorf("got %+v, %q", r.summary, r.results[0].Reason)
		}
	}
}

// Each configuration has a column, and what was not measured has a dash.
func TestCompared(t *testing.T) {
	t.Parallel()
	runs := []*run{
		{
			cfg: Configuration{Name: "embedded", Summary: "one"}, summary: suite.Summary{Passed: 1},
			results: []load.Result{{Scenario: "sockets", Figures: map[string]float64{"memoryPerSocketBytes": 15 * 1024, "heldConnections": 8000}}},
		},
		{cfg: Configuration{Name: "cluster", Summary: "three"}},
	}
	text := compared(runs)
	for _, line := range []string{
		"| | [embedded](embedded/report.md) | [cluster](cluster/report.md) |", "| deployment | one | three |", "| scenarios passed | 1 of 1 | 0 of 0 |",
		"| sockets held and subscribed | 8000 | – |", "| memory per socket | 15 KiB | – |",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("it lacks %q:\n%s", line, text)
		}
	}
}
