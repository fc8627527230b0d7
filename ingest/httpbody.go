package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/letswriteabook/realtime/messaging"
)

// firstBodyBytes is the memory that a body gets before any of it has arrived.
const firstBodyBytes = 16 << 10

// errNoRoom is returned for a body that does not fit beside the others.
var errNoRoom = errors.New("bodies of requests take too much memory")

// requests bounds the requests under way and the memory of their bodies. It is separate
// from the [budget], so that slow clients delay only requests to publish.
type requests struct {
	maxRequests int
	maxBytes    int

	mu sync.Mutex // guards the fields below
	// count is the number of requests that have entered and not left, bytes the memory that
	// they hold.
	count int
	bytes int
}

// request is one request under way; it belongs to the goroutine that serves it.
type request struct {
	among *requests
	bytes int
}

// enter counts one more request, or reports false when there are too many.
func (q *requests) enter() (*request, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count >= q.maxRequests {
		return nil, false
	}
	q.count++
	return &request{among: q}, true
}

// under returns the number of requests under way and the bytes that they hold.
func (q *requests) under() (count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// hold books the size of the request's body in place of the size booked before. It returns
// false, and changes nothing, if there is no room.
func (r *request) hold(bytes int) bool {
	r.among.mu.Lock()
	defer r.among.mu.Unlock()
	if r.among.bytes-r.bytes+bytes > r.among.maxBytes {
		return false
	}
	r.among.bytes += bytes - r.bytes
	r.bytes = bytes
	return true
}

// leave returns everything that the request has booked.
func (r *request) leave() {
	r.among.mu.Lock()
	defer r.among.mu.Unlock()
	r.among.count--
	r.among.bytes -= r.bytes
}

// readBody reads the whole body before any of it is stored, so that nothing is stored of a
// body that is too large or breaks off.
func (i *Ingest) readBody(w http.ResponseWriter, r *http.Request, request *request) ([]byte, *problem) {
	limit := i.cfg.MaxBodyBytes
	if r.ContentLength > int64(limit) {
		return nil, tooLargeBody(limit)
	}
	body, err := request.read(http.MaxBytesReader(w, r.Body, int64(limit)), limit)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, tooLargeBody(limit)
	case errors.Is(err, errNoRoom):
		return nil, problemBusy
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &problem{
			status: http.StatusRequestTimeout, Code: codeSlowBody,
			Message: "the body did not arrive in time, nothing is stored",
		}
	default:
		return nil, &problem{
			status: http.StatusBadRequest, Code: codeIncomplete,
			Message: "the body could not be read to its end, nothing is stored",
		}
	}
}

// read returns the whole of a body of at most limit bytes. It books memory before it
// allocates it, as the bytes arrive.
func (r *request) read(body io.Reader, limit int) ([]byte, error) {
	var data []byte
	for {
		if len(data) == cap(data) {
			// One byte more than the limit, to see the end.
			size := min(max(2*cap(data), firstBodyBytes), limit+1)
			if !r.hold(min(size, limit)) {
				return nil, errNoRoom
			}
			data = append(make([]byte, 0, size), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
}

func tooLargeBody(limit int) *problem {
	return &problem{
		status: http.StatusRequestEntityTooLarge, Code: string(messaging.ReasonTooLarge),
		Message: fmt.Sprintf("the body has more than %d bytes, nothing is stored", limit),
	}
}

// line is one envelope of a body.
type line struct {
	// number counts the lines of the body from 1.
	number int
	// text is a slice of the body.
	text []byte
}

// splitLines returns the lines of an NDJSON body that are not blank, at least 1 and at most
// limit.
func splitLines(body []byte, limit int) ([]line, *problem) {
	var lines []line
	for number := 1; len(body) > 0; number++ {
		var text []byte
		text, body, _ = bytes.Cut(body, []byte{'\n'})
		if text = bytes.Trim(text, whitespace); len(text) == 0 {
			continue
		}
		if len(lines) == limit {
			return nil, &problem{
				status: http.StatusRequestEntityTooLarge, Code: codeTooMany,
				Message: fmt.Sprintf("the body has more than %d lines, nothing is stored", limit),
			}
		}
		lines = append(lines, line{number: number, text: text})
	}
	if len(lines) == 0 {
		return nil, &problem{
			status: http.StatusBadRequest, Code: string(messaging.ReasonInvalidJSON),
			Message: "the body has no envelope",
		}
	}
	return lines, nil
}
