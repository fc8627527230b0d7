package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// answerChunkBytes is how much of an answer is collected before it is written, and the
	// most that is written within one answerWriteTimeout: a client that reads less in that
	// time is disconnected.
	answerChunkBytes   = 64 << 10
	answerWriteTimeout = 10 * time.Second
)

// answer is one page of events as JSON, written while it is read:
//
//	{"items":[…],"count":n,"epoch":…,"position":…,…}
//
// Nothing is written until the first chunk is full, so that a failure can still be answered
// with an error. An answer belongs to one goroutine.
type answer struct {
	writer    http.ResponseWriter
	control   *http.ResponseController
	request   context.Context
	catalogue *messaging.Catalogue
	work      func(context.Context) (done func(), err error) // see [hub.Hub.Work]
	// chunk is the unwritten part: less than answerChunkBytes, and one item.
	chunk   []byte
	count   int
	started bool
	gzip    *gzipBody // nil: the answer is not compressed
}

// newAnswer begins an answer, compressed if requested. A small answer is not compressed.
func newAnswer(w http.ResponseWriter, r *http.Request, compressed bool, catalogue *messaging.Catalogue, work func(context.Context) (func(), error)) *answer {
	a := &answer{
		writer: w, control: http.NewResponseController(w), request: r.Context(), catalogue: catalogue, work: work,
		chunk: []byte(`{"items":[`),
	}
	if compressed {
		a.gzip = &gzipBody{}
	}
	return a
}

// add adds one item. An error of the catalogue leaves the answer unchanged; errors of the
// connection match [errWrite].
func (a *answer) add(record messaging.Record) error {
	if err := a.encode(record); err != nil || len(a.chunk) < answerChunkBytes {
		return err
	}
	return a.flush(false)
}

// encode appends one item to the chunk.
func (a *answer) encode(record messaging.Record) error {
	done, err := a.work(a.request)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	defer done()
	before := len(a.chunk)
	if a.count > 0 {
		a.chunk = append(a.chunk, ',')
	}
	start := len(a.chunk)
	longer, err := a.catalogue.AppendItem(a.chunk, record)
	if err != nil {
		a.chunk = a.chunk[:before]
		return err
	}
	a.chunk = append(longer[:start], escapeSeparators(longer[start:])...)
	a.count++
	return nil
}

// finish writes the rest of the answer.
func (a *answer) finish(found hub.Listed) error {
	a.chunk = strconv.AppendInt(append(a.chunk, `],"count":`...), int64(a.count), 10)
	a.chunk = append(append(a.chunk, besides(found)...), '}')
	return a.flush(true)
}

// errWrite is matched by errors of the connection.
var errWrite = errors.New("the answer cannot be written")

// flush writes the chunk, with a deadline for each answerChunkBytes. The server resets the
// deadline at the end of the request.
func (a *answer) flush(last bool) error {
	body, err := a.body(last)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	if !a.started && last {
		a.writer.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	a.started = true
	for len(body) > 0 {
		if a.request.Err() != nil {
			return fmt.Errorf("%w: %w", errWrite, a.request.Err())
		}
		_ = a.control.SetWriteDeadline(time.Now().Add(answerWriteTimeout)) // where it is supported
		part := body[:min(len(body), answerChunkBytes)]
		_, err := a.writer.Write(part)
		if err == nil {
			err = a.control.Flush()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errWrite, err)
		}
		body = body[len(part):]
	}
	a.chunk = a.chunk[:0]
	if cap(a.chunk) > 2*answerChunkBytes {
		a.chunk = nil // free the memory of a large item
	}
	return nil
}

// body returns the chunk as it is sent.
func (a *answer) body(last bool) ([]byte, error) {
	if !a.started && last && len(a.chunk) < compressFrom {
		a.gzip = nil
	}
	if a.gzip == nil {
		return a.chunk, nil
	}
	done, err := a.work(a.request)
	if err != nil {
		return nil, err
	}
	defer done()
	a.writer.Header().Set("Content-Encoding", "gzip") // has no effect once the answer is started
	return a.gzip.compress(a.chunk, last)
}

// cutOff interrupts a write as soon as the request ends, as it does when the server stops.
// The caller calls stop after the last write.
func (a *answer) cutOff() (stop func() bool) {
	return context.AfterFunc(a.request, func() { _ = a.control.SetWriteDeadline(time.Now()) })
}
