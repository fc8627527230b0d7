package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

const dashboardFile = "../../deploy/grafana/realtime-overview.json"

var (
	pageRow       = regexp.MustCompile("(?m)^\\| `(realtime_[a-z_]+)` \\| (\\w+) \\| (.*?)\\| ")
	usedMetric    = regexp.MustCompile(`(realtime_[a-z_]+)(\{[^}]*\})?`)
	usedMatcher   = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	usedGrouping  = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
	usedLegend    = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)
	usedRecording = regexp.MustCompile(`slo:[a-z_]+:[a-z_0-9]+`)
	recorded      = regexp.MustCompile(`(?m)^ *- record: (\S+)$`)
	// scraped are the labels that Prometheus adds to every series.
	scraped = []string{"job", "instance"}
)

// documented reads docs/metrics.md, which [TestMetricsPage] holds against what a gateway
// serves: the labels of each name, those of the parts of a histogram included.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string][]string{"process_resident_memory_bytes": nil}
	for _, row := range pageRow.FindAllStringSubmatch(string(page), -1) {
		var labels []string
		for _, label := range strings.Split(row[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				labels = append(labels, label)
			}
		}
		known[row[1]] = labels
		if row[2] == "histogram" {
			known[row[1]+"_sum"], known[row[1]+"_count"] = labels, labels
			known[row[1]+"_bucket"] = append(slices.Clone(labels), "le")
		}
	}
	if len(known) < 50 {
		t.Fatalf("%d metrics in %s", len(known), metricsPage)
	}
	return known
}

// checkExpression checks that every metric and every label of an expression exists.
func checkExpression(known map[string][]string, expression string) error {
	var usable []string // by any metric of the expression
	for _, use := range usedMetric.FindAllStringSubmatch(expression, -1) {
		labels, found := known[use[1]]
		if !found {
			return fmt.Errorf("no gateway has the metric %s", use[1])
		}
		for _, matcher := range usedMatcher.FindAllStringSubmatch(use[2], -1) {
			if !slices.Contains(labels, matcher[1]) && !slices.Contains(scraped, matcher[1]) {
				return fmt.Errorf("%s has no label %s", use[1], matcher[1])
			}
		}
		usable = append(usable, labels...)
	}
	for _, grouping := range usedGrouping.FindAllStringSubmatch(expression, -1) {
		for _, label := range strings.Split(grouping[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(usable, label) && !slices.Contains(scraped, label) {
				return fmt.Errorf("no metric of it has the label %s", label)
			}
		}
	}
	return nil
}

func TestExpressionsAreChecked(t *testing.T) {
	t.Parallel()
	known := map[string][]string{"realtime_a_total": {"code"}}
	for expression, ok := range map[string]bool{
		`sum by (code, instance) (rate(realtime_a_total{code="x",job="y"}[5m]))`: true,
		`realtime_b_total`:                   false,
		`realtime_a_total{reason="x"}`:       false,
		`sum by (reason) (realtime_a_total)`: false,
	} {
		if err := checkExpression(known, expression); (err == nil) != ok {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// TestDashboard checks every expression of the dashboard: its metrics and labels exist,
// Prometheus parses it, and what a legend names is a label of the result.
func TestDashboard(t *testing.T) {
	t.Parallel()
	known := documented(t)
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for _, record := range recorded.FindAllStringSubmatch(string(rules), -1) {
		records = append(records, record[1])
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var all []rule
	ids := make(map[int]bool)
	variables := strings.NewReplacer("[$__rate_interval]", "[5m]", "$job", "realtime", "$instance", ".+")
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("%s: id %d, place %+v", panel.Title, panel.ID, panel.GridPos)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			expression := variables.Replace(target.Expr)
			if strings.Contains(expression, "$") {
				t.Errorf("%s: an unknown variable: %s", panel.Title, expression)
			}
			if err := checkExpression(known, expression); err != nil {
				t.Errorf("%s: %v: %s", panel.Title, err, expression)
			}
			for _, record := range usedRecording.FindAllString(expression, -1) {
				if !slices.Contains(records, record) {
					t.Errorf("%s: no rule records %s", panel.Title, record)
				}
			}
			for _, legend := range usedLegend.FindAllStringSubmatch(target.LegendFormat, -1) {
				grouped := strings.Contains(expression, "by (") && strings.Contains(expression, legend[1])
				if !grouped && (strings.Contains(expression, "by (") || !slices.Contains(scraped, legend[1])) {
					t.Errorf("%s: the legend names %s, which is no label of %s", panel.Title, legend[1], expression)
				}
			}
			all = append(all, rule{fmt.Sprintf("dashboard:panel_%d:%d", panel.ID, len(all)), expression})
		}
	}
	if len(all) < 40 {
		t.Errorf("%d expressions", len(all))
	}
	file, err := json.Marshal(map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": all}}}) // which is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	promtoolChecks(t, file)
}

func promtoolChecks(t *testing.T, rules []byte) {
	t.Helper()
	promtool := testkit.Program(t, "promtool")
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, rules, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestAlertLabels checks that every metric and label of the alert and recording rules
// exists.
func TestAlertLabels(t *testing.T) {
	t.Parallel()
	known := documented(t)
	text, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	var expression strings.Builder
	checked := 0
	check := func() {
		if expression.Len() == 0 {
			return
		}
		if err := checkExpression(known, expression.String()); err != nil {
			t.Errorf("%v: %s", err, expression.String())
		}
		checked++
		expression.Reset()
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		rest, begins := strings.CutPrefix(strings.TrimSpace(line), "expr: ")
		switch {
		case begins:
			check()
			expression.WriteString(rest + " ")
		case strings.HasPrefix(line, "          ") && expression.Len() > 0: // of an expression of several lines
			expression.WriteString(strings.TrimSpace(line) + " ")
		default:
			check()
		}
	}
	check()
	if checked < 30 {
		t.Errorf("%d expressions were checked", checked)
	}
}

// TestObjectives has Prometheus' own tool evaluate the objectives: a short burst of slow
// events alerts nobody, a fast burn pages, a slow one warns, and a log that grows towards
// its limit is forecast.
func TestObjectives(t *testing.T) {
	t.Parallel()
	promtool := testkit.Program(t, "promtool")
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "testdata/objectives.yml").CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
