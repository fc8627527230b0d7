package faults_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

// BenchmarkDurability appends to nats-server processes: what docs/ops/durability.md
// says a durability mode costs.
func BenchmarkDurability(b *testing.B) {
	programs, err := processes.Build(b.Context(), ".", b.TempDir())
	if errors.Is(err, processes.ErrNoProgram) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, nodes := range []int{1, 3} {
		for _, sync := range []string{"always", "10s"} {
			l, err := processes.New(processes.Config{Programs: programs, Dir: b.TempDir(), Nodes: nodes, Sync: sync})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			if err := l.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			conn, err := eventstore.Connect(b.Context(), l.NATSURL(), eventstore.ConnConfig{})
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			cfg := eventstore.DefaultConfig()
			cfg.Replicas, cfg.OpenTimeout = nodes, time.Minute
			log, err := eventstore.Open(b.Context(), conn, cfg, nil, prometheus.NewRegistry())
			if err != nil {
				b.Fatal(err)
			}
			for _, jobs := range []int{1, 64} {
				b.Run(fmt.Sprintf("replicas=%d/sync=%s/jobs=%d", nodes, sync, jobs), func(b *testing.B) { appendAll(b, log, jobs) })
			}
		}
	}
}

// appendAll appends one event of each job at a time.
func appendAll(b *testing.B, log *eventstore.Log, jobs int) {
	body := make([]byte, 330)
	for i := range body {
		body[i] = 'x'
	}
	unique, round := time.Now().UnixNano(), 0
	for b.Loop() {
		var appending sync.WaitGroup
		for job := range jobs {
			id := fmt.Sprint(unique, "-", round, "-", job)
			appending.Go(func() {
				record := messaging.Record{JobID: fmt.Sprint(job), Kind: messaging.KindDomain, ID: id, MessageID: id, Body: body}
				if _, err := log.Append(b.Context(), record); err != nil {
					b.Error(err)
				}
			})
		}
		appending.Wait()
		round++
	}
	b.ReportMetric(float64(b.N*jobs)/b.Elapsed().Seconds(), "appends/s")
}
