package gateway_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStreamOfASlowReader: a client that reads slowly but steadily is not cut,
// however long the whole of a batch takes it.
func TestStreamOfASlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, options{pipe: true, config: unhurried})
		for range 100 {
			s.log.append(record("job", 10_000))
		}
		conn, err := s.dial(t.Context(), "tcp", "pipe.test:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /api/realtime/jobs/job/stream?since=0 HTTP/1.1\r\nHost: pipe.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		defer conn.Close() // first, as closing the body reads it to its end
		started, read := time.Now(), strings.Builder{}
		for part := make([]byte, 4<<10); !strings.Contains(read.String(), "\nid: epoch-1:100\n"); time.Sleep(time.Second) {
			n, err := response.Body.Read(part)
			read.Write(part[:n])
			if err != nil || read.Len() > 2_000_000 || time.Since(started) > time.Hour {
				t.Fatalf("cut after %s and %d bytes: %v", time.Since(started), read.Len(), err)
			}
		}
	})
}
