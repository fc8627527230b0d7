package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// charts are the values of deploy/helm/golden, by the file that they give, and what the
// secret has.
var charts = map[string]struct {
	set    string
	secret map[string]string
}{
	"nats.yaml":       {"secretName=rt", map[string]string{"NATS_URL": "nats://nats:4222"}},
	"autoscaled.yaml": {"autoscaling.enabled=true,serviceMonitor.enabled=true,secretName=rt", map[string]string{"NATS_URL": "nats://nats:4222"}},
	"cluster.yaml":    {"cluster.enabled=true,secretName=rt", map[string]string{"NATS_USER": "gateways", "NATS_PASSWORD": "secret"}},
}

// refusedValues are values that the chart refuses.
var refusedValues = []string{"replicas=0", "cluster.enabled=true,replicas=1", "settings.PORT=1,secretName=rt", "unknown=1", "cluster.enabled=true,autoscaling.enabled=true", ""}

var chartVariable = regexp.MustCompile(`- \{ name: ([A-Z_]+), value: "?([^"}]*)"? \}`)

// TestChartSetsValidSettings: a gateway takes the environment that the chart gives it.
func TestChartSetsValidSettings(t *testing.T) {
	t.Parallel()
	for name, chart := range charts {
		manifest, err := os.ReadFile(filepath.Join("../../deploy/helm/golden", name))
		if err != nil {
			t.Fatal(err)
		}
		environ := map[string]string{"NATS_NODE": "rt-0"}
		for _, match := range chartVariable.FindAllStringSubmatch(string(manifest), -1) {
			environ[match[1]] = match[2]
		}
		for variable, value := range chart.secret {
			environ[variable] = value
		}
		cfg, err := config.Load(environ)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cfg.AdminAddr != ":3002" || cfg.DrainSeconds != 15 || cfg.Environment != "production" {
			t.Errorf("%s: got %+v", name, environ)
		}
		for _, warning := range cfg.Warnings() {
			t.Errorf("%s: %s", name, warning)
		}
	}
}

// TestChart compares what helm gives with the golden manifests, byte by byte. No Debian release has helm, and
// its module has hundreds of packages to compile, so that it is skipped without it: [TestChartTemplates] fills
// in the templates without helm.
func TestChart(t *testing.T) {
	t.Parallel()
	helm, err := exec.LookPath("helm")
	if err != nil {
		t.Skip("helm is not installed")
	}
	if out, err := exec.Command(helm, "lint", "../../deploy/helm/realtime").CombinedOutput(); err != nil {
		t.Errorf("lint: %v\n%s", err, out)
	}
	for name, chart := range charts {
		golden := filepath.Join("../../deploy/helm/golden", name)
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		got, err := exec.Command(helm, "template", "rt", "../../deploy/helm/realtime", "--kube-version", "1.30.0", "--set", chart.set).Output()
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the chart gives: %v", golden, err)
		}
	}
	for _, set := range refusedValues {
		if out, err := exec.Command(helm, "template", "rt", "../../deploy/helm/realtime", "--kube-version", "1.30.0", "--set", set).CombinedOutput(); err == nil {
			t.Errorf("%s is taken:\n%s", set, out)
		}
	}
}
