package faults_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/lab/processes"
)

// BenchmarkCanary measures an idle gateway on a NATS server, Redis and MongoDB for half a
// minute: what decision 42 says the canary costs. Run it with -benchtime 1x.
func BenchmarkCanary(b *testing.B) {
	programs, err := processes.Build(b.Context(), ".", b.TempDir())
	if errors.Is(err, processes.ErrNoProgram) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, interval := range []string{"1h", "10s", "100ms"} { // once at the start, the default, and for the cost of one run
		b.Run("interval="+interval, func(b *testing.B) {
			l, err := processes.New(processes.Config{Programs: programs, Dir: b.TempDir(), Nodes: 1, Sync: "10s", Mongo: true})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			if err := l.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			gateway, err := l.Gateway(map[string]string{"CANARY_INTERVAL": interval})
			if err != nil {
				b.Fatal(err)
			}
			if err := gateway.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			time.Sleep(2 * time.Second) // until the start is over
			const length = 30 * time.Second
			for b.Loop() {
				before := usageOf(b, l, gateway)
				time.Sleep(length)
				after := usageOf(b, l, gateway)
				b.ReportMetric((after.cpu-before.cpu)*1000/length.Seconds(), "cpu-ms/s")
				b.ReportMetric((after.nats-before.nats)/length.Seconds(), "nats-messages/s")
				b.ReportMetric((after.redis-before.redis)/length.Seconds(), "redis-commands/s")
				b.ReportMetric((after.canaries-before.canaries)/length.Minutes(), "canaries-stored/min")
				b.ReportMetric(after.events, "events")
			}
		})
	}
}

// usage is what a gateway has used since its start, and its servers since theirs.
type usage struct {
	cpu   float64 // of the gateway, in seconds
	nats  float64 // messages that came to the NATS server
	redis float64 // commands
	// canaries is how many the identity stream has stored, and events how many records the
	// log of events has.
	canaries, events float64
}

func usageOf(b *testing.B, l *processes.Lab, gateway *processes.Process) usage {
	b.Helper()
	client := redis.NewClient(&redis.Options{Addr: l.Redis().Addr()})
	defer func() { _ = client.Close() }()
	stats, err := client.Info(b.Context(), "stats").Result()
	if err != nil {
		b.Fatal(err)
	}
	var server struct {
		InMsgs float64 `json:"in_msgs"`
	}
	if err := json.Unmarshal([]byte(page(b, l.Monitor(0)+"/varz")), &server); err != nil {
		b.Fatal(err)
	}
	streams := page(b, l.Monitor(0)+"/jsz?streams=true")
	last := func(stream string) float64 {
		return figure(b, streams, `(?s)"name": "`+stream+`".*?"last_seq": (\d+)`)
	}
	return usage{
		cpu:   figure(b, page(b, "http://"+gateway.Addr()+"/metrics"), `(?m)^process_cpu_seconds_total (\S+)$`),
		nats:  server.InMsgs,
		redis: figure(b, stats, `total_commands_processed:(\d+)`),

		canaries: last("NOVEL_IDENTITY"), events: last("NOVEL_EVENTS"),
	}
}

func page(b *testing.B, url string) string {
	b.Helper()
	response, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// figure returns what the first group of a pattern has found.
func figure(b *testing.B, text, pattern string) float64 {
	b.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		b.Fatalf("there is no %s", pattern)
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return value
}
