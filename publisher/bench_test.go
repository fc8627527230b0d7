package publisher_test

import (
	"fmt"
	"testing"
)

// BenchmarkPublish is publishing with receipts, against a stand-in for the gateway
// that stores nothing: the round trips through Redis, by the number of jobs among
// which the events are spread, with and without a journal.
func BenchmarkPublish(b *testing.B) {
	for _, jobs := range []int{1, 64} {
		for _, journal := range []bool{false, true} {
			b.Run(fmt.Sprintf("jobs=%d/journal=%t", jobs, journal), func(b *testing.B) {
				b.ReportAllocs()
				client := startRedis(b)
				l := startLog(b, client, nil)
				cfg := quick()
				if journal {
					cfg.Dir = b.TempDir()
				}
				p, _ := run(b, client, cfg)
				n := 0
				for b.Loop() {
					if _, err := p.Publish(b.Context(), event(b, fmt.Sprintf("job-%d", n%jobs), fmt.Sprint(n))); err != nil {
						b.Fatal(err)
					}
					n++
				}
				l.await(b, n)
			})
		}
	}
}
