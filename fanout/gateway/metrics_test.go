package gateway_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", path, got)
	}
}

var (
	timeText     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	durationText = regexp.MustCompile(`("replayDurationMs": )\d+`)
)

func TestMetricsPage(t *testing.T) {
	t.Parallel()
	s := setup(t, options{limits: guardrails.Limits{
		MaxConnections: 10, MaxConnectionsPerOrigin: 5, MaxSubscriptionsPerClient: 3, IdleTimeout: time.Minute,
	}})
	golden(t, "metrics-empty.json", s.metricsPage())

	s.log.publish("stored", 4)
	c := s.connectFrom("http://book.example", 0)
	for _, job := range []string{"stored", "empty"} {
		c.subscribe(job)
		for m := c.next(); m.Name != messaging.EventCaughtUp; m = c.next() {
		}
	}
	other := s.connect()
	other.subscribe("stored")
	for m := other.next(); m.Name != messaging.EventCaughtUp; m = other.next() {
	}
	s.connect()
	golden(t, "metrics.json", s.metricsPage())
}

// metricsPage returns GET /internal/realtime/metrics, indented, without what
// differs from run to run.
func (s *stage) metricsPage() string {
	s.t.Helper()
	answer := s.get("/internal/realtime/metrics", "")
	if answer.status != http.StatusOK || answer.header.Get("Content-Type") != "application/json; charset=utf-8" || answer.header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("answer %d, %v", answer.status, answer.header)
	}
	var indented strings.Builder
	var page any
	if err := json.Unmarshal([]byte(answer.body), &page); err != nil {
		s.t.Fatal(err)
	}
	encoder := json.NewEncoder(&indented)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(page); err != nil {
		s.t.Fatal(err)
	}
	text := timeText.ReplaceAllString(indented.String(), "TIME")
	return durationText.ReplaceAllString(text, "${1}0")
}

func TestLastCatchUpsAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	c := s.connect()
	for n := range 210 {
		c.subscribe(fmt.Sprintf("job-%d", n))
		expect(t, c, messaging.EventCaughtUp)
	}
	c.resume("job-10", 0) // among the newest again
	expect(t, c, messaging.EventCaughtUp)
	c.subscribe("job-210")
	expect(t, c, messaging.EventCaughtUp)
	got := s.snapshot().LastCatchUp
	if len(got) != 200 {
		t.Errorf("%d jobs are kept", len(got))
	}
	for job, kept := range map[string]bool{"job-0": false, "job-9": false, "job-10": true, "job-11": false, "job-12": true, "job-210": true} {
		if _, found := got[job]; found != kept {
			t.Errorf("%s kept: %t, want %t", job, found, kept)
		}
	}
	if got["job-210"].ReplaySource != "none" || got["job-210"].JobID != "job-210" {
		t.Errorf("report %+v", got["job-210"])
	}
}

// TestExposition holds the names, types, texts and labels of the metrics against
// a file: dashboards and alerts stand on them.
func TestExposition(t *testing.T) {
	t.Parallel()
	s := setup(t, options{withoutDB: true, origins: "http://book.example", limits: guardrails.Limits{MaxConnections: 1}})
	s.refused("http://evil.example")
	s.log.publish("job", 20)
	s.log.set(func(l *memoryLog) { l.retain(10) })
	c := s.connect()
	c.resume("job", 2)
	expect(t, c, messaging.EventGap)
	expectEvents(t, c, span(10, 20)...)
	expect(t, c, messaging.EventCaughtUp)
	s.refused("")
	c.emit("subscribe")
	expect(t, c, messaging.EventError)
	s.tail.lose(func(messaging.Live) bool { return true })
	s.log.publish("job", 1)
	expectEvents(t, c, 21)
	wait(t, "the refused sockets to be gone", func() bool { return s.snapshot().TotalConnections == 1 })

	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		name := family.GetName()
		if !strings.HasPrefix(name, "realtime_fanout_") {
			continue
		}
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, family.GetHelp(), name, strings.ToLower(family.GetType().String()))
		for _, metric := range family.GetMetric() {
			fmt.Fprintf(&text, "%s%s %s\n", name, labels(metric), value(metric))
		}
	}
	golden(t, "metrics.txt", text.String())
}

func labels(metric *dto.Metric) string {
	var pairs []string
	for _, pair := range metric.GetLabel() {
		pairs = append(pairs, fmt.Sprintf("%s=%q", pair.GetName(), pair.GetValue()))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func value(metric *dto.Metric) string {
	if histogram := metric.GetHistogram(); histogram != nil {
		return fmt.Sprintf("%d in %d buckets", histogram.GetSampleCount(), len(histogram.GetBucket()))
	}
	return fmt.Sprint(metric.GetCounter().GetValue() + metric.GetGauge().GetValue())
}
