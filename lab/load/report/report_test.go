package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/report"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

// run is a suite with one scenario of each kind; what a deployment says is in it as
// it came.
func run() (suite.Summary, []load.Result) {
	began := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	latency, deliveries := measure.NewLatency(), measure.NewTimeline(began)
	for ms := range 1000 {
		latency.Record(time.Duration(ms) * time.Millisecond)
		deliveries.Add(began.Add(time.Duration(ms)*time.Millisecond), 1)
	}
	d := latency.Distribution()
	good := load.Result{
		Scenario: "broadcast-burst", Status: load.Passed, DurationMs: 1234, Latency: &d, Delivery: &measure.Counts{Due: 10, Received: 10},
		Checks: []load.Check{{Name: "delivered", OK: true, Want: "10", Got: "10"}}, Figures: map[string]float64{"latencyP95Ms": 12.34, "x|y": 1e6},
		Series:  []measure.Series{deliveries.Series("deliveriesPerSecond"), {Name: "memoryBytes", SlotMs: 5, Values: []float64{1 << 20, 2 << 20}}},
		Outages: []load.Window{{What: "Redis <server>", FromMs: 100, ToMs: 300}},
		Harness: measure.Usage{Cores: 2, Share: 0.9, Warning: "the harness took 90 % of 2 processors"},
	}
	bad := load.Result{
		Scenario: "churn", Status: load.Failed, Reason: "visits: want none, got <script>alert(1)</script>",
		Checks: []load.Check{{Name: "visits", Want: "none", Got: "<script>|alert(1)</script>"}},
	}
	none := load.Result{Scenario: "origin-quota", Status: load.Skipped, Reason: "no limit"}
	s := suite.Summary{Label: "nightly", Status: load.Failed, StartedAt: began, DurationMs: 5000, Gateways: []string{"http://a"}, Machine: map[string]string{"go": "go1"}, Passed: 1, Failed: 1, Skipped: 1}
	return s, []load.Result{good, bad, none}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	text := report.Markdown(run())
	for _, part := range []string{
		"# Load test nightly: failed", "1 passed, 1 failed, 1 skipped", "| broadcast-burst | passed | 1.23s | 10 of 10 | 0 | 0 | 0 |", "## churn: failed",
		`**failed**: visits, want none, got <script>\|alert(1)</script>`, "no limit.", "Outage: Redis <server>, from 100ms to 300ms", "**Warning:** the harness took 90 %", "| latencyP95Ms | 12.3 |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("it lacks %q:\n%s", part, text)
		}
	}
}

// The page needs nothing from elsewhere, its pictures are well-formed, and nothing
// of a deployment becomes markup.
func TestHTML(t *testing.T) {
	t.Parallel()
	text, err := report.HTML(run())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"Load test nightly", `href="#churn"`, `class="outage"`, "Redis &lt;server&gt;", "p95 9", "Memory of the gateways, MiB", "no limit", "✗ visits"} {
		if !strings.Contains(text, part) {
			t.Errorf("it lacks %q", part)
		}
	}
	if strings.Contains(text, "<script") || regexp.MustCompile(`(?:src|href)="[^#]|url\(|@import`).MatchString(text) {
		t.Error("it has a script, or needs something from elsewhere")
	}
	pictures := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(pictures) != 3 {
		t.Fatalf("it has %d pictures, want 3", len(pictures))
	}
	for _, picture := range pictures {
		if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
			t.Errorf("a picture has a number that is none: %.300s", picture)
		}
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a picture is not well-formed: %v: %.300s", err, picture)
			}
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	_, results := run()
	var b strings.Builder
	for _, r := range results {
		if err := report.Text(&b, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"broadcast-burst", "PASSED", "FAILED  visits", "want none, got <script>", "SKIPPED", "no limit", "warning"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("it lacks %q:\n%s", part, b.String())
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, results := run()
	if err := report.Write(dir, s, results); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"report.md", "report.html"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 500 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := report.Write(filepath.Join(dir, "none"), s, results); err == nil {
		t.Error("no folder is no error")
	}
}
