package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// BenchmarkOffsetOfSeveralJobs measures what an event costs for each socket that
// follows several jobs: a packet of its own, with an offset that names them all.
func BenchmarkOffsetOfSeveralJobs(b *testing.B) {
	body := fmt.Sprintf(`{"kind":"domain","jobId":"job","event":{"type":"chapter.saved","occurredAt":"2026-01-02T03:04:05Z","text":%q}}`, strings.Repeat("x", 240))
	record := messaging.Record{
		JobID: "job", Kind: messaging.KindDomain, Body: []byte(body), EmittedAt: "2026-01-02T03:04:05.000Z",
		Position: messaging.Position{Epoch: "0123456789abcdef", Sequence: 4711},
	}
	ev, err := hub.NewEvent(messaging.DefaultCatalogue(), Encoder{Offsets: true}, record)
	if err != nil {
		b.Fatal(err)
	}
	for _, jobs := range []int{2, 20} {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			var o offset
			for i := range jobs {
				o.set(ev.Epoch, jobKey(fmt.Sprint(i)), uint64(i))
			}
			b.ReportAllocs()
			for b.Loop() {
				formsOf(ev).packetWith(o.with(ev.Epoch, formsOf(ev).key, ev.Sequence))
			}
		})
	}
}
