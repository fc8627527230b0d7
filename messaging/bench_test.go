package messaging_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/messaging"
)

// sizes are the envelopes that benchmarks run on: the usual one, and one whose
// text makes it as large as a page.
func sizes() map[string]string {
	page := `{"kind":"domain","jobId":"job-42","event":{"type":"t","occurredAt":"now","text":"` + strings.Repeat("It was a dark night. ", 500) + `"}}`
	usual := sample()
	return map[string]string{fmt.Sprintf("%dB", len(usual)): usual, fmt.Sprintf("%dB", len(page)): page}
}

func BenchmarkDecode(b *testing.B) {
	c := messaging.DefaultCatalogue()
	for name, raw := range sizes() {
		b.Run(name, func(b *testing.B) {
			text := []byte(raw)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := c.Decode(text, messaging.DefaultMaxEventBytes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendPayload(b *testing.B) {
	c := messaging.DefaultCatalogue()
	for name, raw := range sizes() {
		b.Run(name, func(b *testing.B) {
			record := decode(b, c, raw).Record(received)
			record.Sequence = 1188
			buffer := make([]byte, 0, 2*len(raw))
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := c.AppendPayload(buffer, record); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	for _, jobID := range []string{"job-42", "tenant 7/job.42"} {
		b.Run(jobID, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := messaging.ParseToken(messaging.Token(jobID)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
