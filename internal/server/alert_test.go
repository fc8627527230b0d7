package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// alertRules are the rules of the deployment.
const alertRules = "../../deploy/prometheus/alerts.yml"

var (
	exposed    = regexp.MustCompile(`^(realtime_[a-z_]+)(?:\{(.*)\})? (\S+)$`)
	ruleMetric = regexp.MustCompile(`realtime_[a-z_]+`)
)

// checkAlert has Prometheus' own tool evaluate the rules over two scrapes of a gateway,
// a minute of the first and then ten of the second, and checks that a rule does not fire
// on the first, and does on the second. An alert is its name, and labels in braces where
// it has them.
func checkAlert(t *testing.T, alert, before, during string) {
	promtool := testkit.Program(t, "promtool")
	rules, err := filepath.Abs(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, name := range ruleMetric.FindAllString(string(text), -1) {
		used[name] = true
	}
	type series struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	first := samples(before, used)
	input := []series{{`up{instance="gateway",job="realtime"}`, "1+0x44"}}
	for name, value := range samples(during, used) {
		held := "_x4"
		if earlier, there := first[name]; there {
			held = earlier + "+0x4"
		}
		input = append(input, series{name, held + " " + value + "+0x40"})
	}
	name, labels, _ := strings.Cut(strings.TrimSuffix(alert, "}"), "{")
	firing := fmt.Sprintf(`count(ALERTS{alertname=%q,alertstate="firing",%s}) or vector(0)`, name, labels)
	expect := func(at string, count int) map[string]any {
		return map[string]any{"expr": firing, "eval_time": at, "exp_samples": []map[string]any{{"labels": "{}", "value": count}}}
	}
	file, err := json.Marshal(map[string]any{ // which is YAML, too
		"rule_files": []string{rules}, "evaluation_interval": "15s",
		"tests": []map[string]any{{"interval": "15s", "input_series": input, "promql_expr_test": []any{expect("45s", 0), expect("10m", 1)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.yml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, during)
	}
}

// samples returns the value of each series of an exposition whose metric is used.
func samples(exposition string, used map[string]bool) map[string]string {
	values := make(map[string]string)
	for _, line := range strings.Split(exposition, "\n") {
		found := exposed.FindStringSubmatch(line)
		if found == nil || !used[found[1]] {
			continue
		}
		labels := `instance="gateway",job="realtime"`
		if found[2] != "" {
			labels += "," + found[2]
		}
		values[found[1]+"{"+labels+"}"] = found[3]
	}
	return values
}
