package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/gateway"
)

// accepting sends a GET with an Accept-Encoding, which the HTTP client then leaves to its caller.
func (s *stage) accepting(path, encoding string) *http.Response {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", encoding)
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// unpack reads a whole body that may be compressed.
func unpack(t *testing.T, response *http.Response) (plain, wire []byte) {
	t.Helper()
	wire, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("Content-Encoding") == "" {
		return wire, wire
	}
	reader, err := gzip.NewReader(bytes.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err = io.ReadAll(reader); err != nil {
		t.Fatal(err)
	}
	return plain, wire
}

// TestPagesAreCompressed: a page is the same compressed, in one chunk or in many, and
// is compressed only where that is asked for, allowed, and of use.
func TestPagesAreCompressed(t *testing.T) {
	t.Parallel()
	for _, compression := range []gateway.Compression{gateway.CompressNothing, gateway.CompressPages, gateway.CompressAll} {
		s := setup(t, options{compression: compression})
		s.log.publish("short", 1)
		s.log.publish("one-chunk", 100)
		for range 40 {
			s.log.append(record("chunks", 20_000))
		}
		for _, test := range []struct {
			job, encoding string
			compressed    bool
		}{
			{"short", "gzip", false},
			{"one-chunk", "gzip", true},
			{"one-chunk", "gzip;q=0", false},
			{"one-chunk", "br", false},
			{"chunks", "gzip, br", true},
		} {
			path := "/api/novel/" + test.job + "/events?limit=200"
			plain, _ := unpack(t, s.accepting(path, "identity"))
			response := s.accepting(path, test.encoding)
			got, wire := unpack(t, response)
			compressed := response.Header.Get("Content-Encoding") == "gzip"
			if compressed != (test.compressed && compression != gateway.CompressNothing) {
				t.Errorf("%s, %s, %s: compressed %t", compression, test.job, test.encoding, compressed)
			}
			if !bytes.Equal(got, plain) {
				t.Errorf("%s, %s, %s: %d bytes, and plain %d", compression, test.job, test.encoding, len(got), len(plain))
			}
			if !strings.Contains(strings.Join(response.Header.Values("Vary"), ","), "Accept-Encoding") {
				t.Errorf("Vary is %q", response.Header.Values("Vary"))
			}
			if length := response.Header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(wire)) {
				t.Errorf("Content-Length is %s of %d bytes", length, len(wire))
			}
			if compressed && len(wire) > len(plain)/3 {
				t.Errorf("%s: %d of %d bytes", test.job, len(wire), len(plain))
			}
		}
	}
}

// TestStreamsAreCompressed: each event can be decoded as soon as it is sent.
func TestStreamsAreCompressed(t *testing.T) {
	t.Parallel()
	for _, compression := range []gateway.Compression{gateway.CompressPages, gateway.CompressAll} {
		s := setup(t, options{compression: compression})
		s.log.publish("job", 3)
		response := s.accepting("/api/realtime/jobs/job/stream", "gzip")
		body := io.Reader(response.Body)
		if compressed := response.Header.Get("Content-Encoding") == "gzip"; compressed != (compression == gateway.CompressAll) {
			t.Fatalf("%s: compressed %t", compression, compressed)
		} else if compressed {
			reader, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = reader
		}
		lines := bufio.NewScanner(body)
		until := func(id string) {
			t.Helper()
			for lines.Scan() {
				if lines.Text() == "id: "+id {
					return
				}
			}
			t.Fatalf("no %s: %v", id, lines.Err())
		}
		until("epoch-1:3")
		for sequence := 4; sequence < 30; sequence++ {
			s.log.publish("job", 1)
			until("epoch-1:" + strconv.Itoa(sequence)) // before the next one is published
		}
	}
}
