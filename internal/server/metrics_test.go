package server_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
	"github.com/letswriteabook/realtime/messaging"
)

var updateMetrics = flag.Bool("update", false, "write docs/metrics.md")

const metricsPage = "../../docs/metrics.md"

// family is one metric of an exposition.
type family struct {
	name, help, kind string
	labels           []string // le of a histogram left out
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? `)
	labelName  = regexp.MustCompile(`([a-z_]+)="(?:[^"\\]|\\.)*"`)
)

// familiesOf reads an exposition in the text format.
func familiesOf(exposition string) map[string]*family {
	families := make(map[string]*family)
	var last *family
	for line := range strings.SplitSeq(exposition, "\n") {
		if rest, found := strings.CutPrefix(line, "# HELP "); found {
			name, help, _ := strings.Cut(rest, " ")
			last = &family{name: name, help: strings.ReplaceAll(help, `\\`, `\`)}
			families[name] = last
		} else if rest, found := strings.CutPrefix(line, "# TYPE "); found {
			_, last.kind, _ = strings.Cut(rest, " ")
		} else if sample := sampleLine.FindStringSubmatch(line); sample != nil {
			for _, label := range labelName.FindAllStringSubmatch(sample[2], -1) {
				if label[1] != "le" && !slices.Contains(last.labels, label[1]) {
					last.labels = append(last.labels, label[1])
				}
			}
		}
	}
	return families
}

// startMeasured runs a gateway that has every metric.
func startMeasured(t *testing.T) *needing {
	redis := testkit.StartRedis(t)
	database := mongokit.Database(t)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) }))
	t.Cleanup(issuer.Close)
	uri, query, _ := strings.Cut(mongokit.URI(), "?")
	return startNeeding(t, map[string]string{
		"REDIS_URL": redis.URL(), "MONGODB_URI": uri[:strings.LastIndex(uri, "/")+1] + database.Name() + "?" + query,
		"AUTH_JWKS_URL": issuer.URL, "AUTH_ISSUER": "issuer", "AUTH_AUDIENCE": "realtime", "SOCKET_CLUSTER_MAX_CONNECTIONS": "1000",
		"OTEL_EXPORTER_OTLP_ENDPOINT": testkit.StartOTLP(t).URL,
	})
}

// TestMetricsPage holds the exposition of a gateway with all parts, real backends
// included, against docs/metrics.md: names, types, labels and texts. Each registered
// metric has to have a series from the start, because an alert does not detect the first
// increase of a counter that was absent before.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	n := startMeasured(t)
	n.until("the gateway is well", func() error { return n.well(nothing) })
	exposition := n.get("/metrics")
	families := familiesOf(exposition)

	descriptions := make(chan *prometheus.Desc)
	go func() { // ends with the registry's list
		defer close(descriptions)
		n.gateway.Registry().Describe(descriptions)
	}()
	named := regexp.MustCompile(`fqName: "([^"]+)"`)
	for description := range descriptions {
		found := named.FindStringSubmatch(description.String())
		if found != nil && strings.HasPrefix(found[1], "realtime_") && families[found[1]] == nil {
			t.Errorf("%s has no series before something is counted", found[1])
		}
	}

	problems, err := promlint.New(strings.NewReader(exposition)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("promlint: %s: %s", problem.Metric, problem.Text)
	}

	got := pageOf(families)
	if *updateMetrics {
		if err := os.WriteFile(metricsPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what a gateway serves: go test ./internal/server -run TestMetricsPage -update\n%s", metricsPage, got)
	}
}

// An event that is published and followed is measured at each stage, in the classic and
// in the native form of the histogram.
func TestStagesAreMeasured(t *testing.T) {
	t.Parallel()
	n := startNeeding(t, nil)
	n.until("the gateway is well", func() error { return n.well(nothing) })
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/api/realtime/jobs/measured/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewScanner(stream.Body)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", text, lines.Err())
	}
	await("novel.caught-up")
	emitted := messaging.FormatTime(time.Now().Add(-time.Minute))
	n.publish(`{"kind":"job-status","jobId":"measured","status":"running","emittedAt":"` + emitted + `"}`)
	await(`"status":"running"`)

	n.until("each stage is measured once", func() error {
		found, err := n.gateway.Registry().Gather()
		if err != nil {
			return err
		}
		for name, least := range map[string]float64{
			"realtime_ingest_publish_to_receive_seconds": 60, "realtime_ingest_receive_to_log_seconds": 0,
			"realtime_fanout_log_to_deliver_seconds": 0, "realtime_fanout_publish_to_deliver_seconds": 60,
		} {
			at := slices.IndexFunc(found, func(family *dto.MetricFamily) bool { return family.GetName() == name })
			if at < 0 {
				return fmt.Errorf("no %s", name)
			}
			measured := found[at].GetMetric()[0].GetHistogram()
			if measured.GetSampleCount() != 1 || measured.GetSampleSum() < least || measured.Schema == nil || len(measured.GetPositiveSpan())+int(measured.GetZeroCount()) == 0 || len(measured.GetBucket()) == 0 {
				return fmt.Errorf("%s: %v", name, measured)
			}
		}
		return nil
	})
	exposition := n.get("/metrics")
	for _, sample := range []string{
		`realtime_fanout_catchup_seconds_count{source="none"} 1`, `realtime_eventstore_append_batch_records_sum 1`, `realtime_eventstore_log_max_bytes 1.073741824e+10`,
	} {
		if !strings.Contains(exposition, "\n"+sample+"\n") {
			t.Errorf("no %s", sample)
		}
	}
}

// publish publishes one event over HTTP.
func (n *needing) publish(envelope string) {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url+"/api/realtime/events", strings.NewReader(envelope))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+needToken)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusCreated {
		body, _ := io.ReadAll(answer.Body)
		n.t.Fatalf("publish: %s %s", answer.Status, body)
	}
}

// parts are the prefixes of the metrics, in the order of an event's way.
var parts = []struct{ prefix, title string }{
	{"ingest", "Events received"},
	{"eventstore", "The log"},
	{"projections", "The read models"},
	{"fanout", "Clients"},
	{"socketio", "Socket.IO"},
	{"engineio", "Engine.IO"},
	{"token", "Tokens"},
	{"tracing", "Traces"},
	{"app", "The process"},
	{"build", "The build"},
}

const metricsIntroduction = `<!-- Written by "go test ./internal/server -run TestMetricsPage -update" from what a gateway serves. Change the metrics, not this page. -->

# Metrics

` + "`GET /metrics`" + ` of the operators' pages ([who may read them](security.md)) serves these, those of the Go runtime (` + "`go_…`" + `) and of the
process (` + "`process_…`" + `). No label has a string that a client chose, and every series of a label with a fixed set of values is
there from the start, with 0. Histograms of durations have the classic form in the text format, and the native form as well for a
scraper that asks for protobuf (Prometheus: ` + "`scrape_native_histograms: true`" + `).

An event passes these stages, and each is measured once for an event, not once for a client:

| from | to | metric |
| --- | --- | --- |
| its producer | this process | ` + "`realtime_ingest_publish_to_receive_seconds`" + ` |
| its arrival | the log | ` + "`realtime_ingest_receive_to_log_seconds`" + ` |
| the log | the outgoing queues of all live subscriptions | ` + "`realtime_fanout_log_to_deliver_seconds`" + ` |
| its producer, or where that gives no time its arrival | the outgoing queues | ` + "`realtime_fanout_publish_to_deliver_seconds`" + ` |

Stages between two machines are as exact as their clocks agree; what would be less than 0 counts as 0.
`

// pageOf writes docs/metrics.md.
func pageOf(families map[string]*family) string {
	var page strings.Builder
	page.WriteString(metricsIntroduction)
	for _, part := range parts {
		var names []string
		for name := range families {
			if strings.HasPrefix(name, "realtime_"+part.prefix+"_") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		fmt.Fprintf(&page, "\n## %s\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n", part.title)
		for _, name := range names {
			f := families[name]
			slices.Sort(f.labels)
			labels := ""
			if len(f.labels) > 0 {
				labels = "`" + strings.Join(f.labels, "`, `") + "` "
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s| %s |\n", f.name, f.kind, labels, strings.ReplaceAll(f.help, "|", `\|`))
		}
	}
	return page.String()
}
