package gateway

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// A body keeps no large buffer for pieces to come: a stream may be silent for hours.
func TestGzipBodyKeepsLittle(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 300<<10)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	var body gzipBody
	for _, size := range []int{100, len(noise), 100} {
		if _, err := body.compress(noise[:size], false); err != nil {
			t.Fatal(err)
		}
		if kept := cap(body.piece) + cap(body.window); kept > compressKeep+2*compressWindow {
			t.Errorf("after %d bytes: %d are kept", size, kept)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"":                        false,
		"gzip":                    true,
		"GZIP":                    true,
		"x-gzip":                  true,
		"deflate, br":             false,
		"gzip, deflate, br, zstd": true,
		"br;q=1.0, gzip;q=0.8":    true,
		"gzip;q=0":                false,
		"gzip; q = 0.000":         false,
		"gzip;q=much":             false,
		"*":                       true,
		"*;q=0":                   false,
		"identity, *;q=0.1":       true,
		"gzip;q=0, *":             false,
		"identity":                false,
		",,gzip":                  true,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {text}}); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
	if !acceptsGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("the second line is not read")
	}
}

// TestGzipBody: what the pieces have given so far can be decoded after each one, by the
// standard library's reader, whatever their sizes.
func TestGzipBody(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var z gzipBody
		wire, decoded := new(bytes.Buffer), new(bytes.Buffer)
		var sent []byte
		var reader *gzip.Reader
		for piece := range 20 {
			size := []int{0, 1, 300, 2047, 2048, 2049, 70_000}[random.IntN(7)]
			data := []byte(strings.Repeat(fmt.Sprintf(`{"sequence":%d,"text":"%x"}`, piece, random.Uint64()), size/20+1)[:size])
			if random.IntN(4) == 0 {
				for i := range data {
					data[i] = byte(random.Uint32())
				}
			}
			packed, err := z.compress(data, piece == 19)
			if err != nil {
				t.Fatal(err)
			}
			wire.Write(packed)
			sent = append(sent, data...)
			if reader == nil {
				if reader, err = gzip.NewReader(wire); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.CopyN(decoded, reader, int64(len(data))); err != nil {
				t.Fatalf("after %d pieces: %v", piece+1, err)
			}
		}
		if _, err := io.Copy(decoded, reader); err != nil { // compares the sum and the size
			t.Fatal(err)
		}
		if !bytes.Equal(decoded.Bytes(), sent) {
			t.Fatal("decoded to something else")
		}
		if len(z.window) > compressWindow || cap(z.window) > 4*compressWindow {
			t.Fatalf("keeps %d bytes, in %d", len(z.window), cap(z.window))
		}
	}
}

// BenchmarkGzipBody compresses an event of a stream, 330 bytes like those before it.
func BenchmarkGzipBody(b *testing.B) {
	var events [][]byte
	for n := range 100 {
		event := fmt.Sprintf(`event: novel.domain-event`+"\n"+`id: 5f0c2a:%d`+"\n"+`data: {"kind":"domain","jobId":"job-7","emittedAt":"2026-11-30T14:00:%02d.123Z","event":{"type":"chapter.paragraph","chapter":%d,"text":"The %dth paragraph, of %x and %x."}}`+"\n\n", n, n%60, n%12, n, n*7919, n*104729)
		events = append(events, []byte(event))
	}
	var z gzipBody
	raw, packed := 0, 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		event := events[n%len(events)]
		piece, err := z.compress(event, false)
		if err != nil {
			b.Fatal(err)
		}
		raw, packed = raw+len(event), packed+len(piece)
	}
	b.ReportMetric(float64(packed)/float64(raw), "packed/raw")
}
