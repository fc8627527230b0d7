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
	// answerChunkBytes is how much of an answer is collected before it is written,
	// and the most that is written under one answerWriteTimeout: a client that takes
	// less than that in the time is cut off.
	answerChunkBytes   = 64 << 10
	answerWriteTimeout = 10 * time.Second
)

// answer is one page of events as JSON, written while it is read:
//
//	{"items":[…],"count":n,"epoch":…,"position":…,…}
//
// Until the first chunk is full nothing is written, so that a failure can still be
// answered as one. It belongs to one goroutine.
type answer struct {
	writer    http.ResponseWriter
	control   *http.ResponseController
	request   context.Context
	catalogue *messaging.Catalogue
	work      func(context.Context) (done func(), err error) // see [hub.Hub.Work]
	// chunk is what has not been written: less than answerChunkBytes, and one item.
	chunk   []byte
	count   int
	started bool
}

func newAnswer(w http.ResponseWriter, r *http.Request, catalogue *messaging.Catalogue, work func(context.Context) (func(), error)) *answer {
	return &answer{
		writer: w, control: http.NewResponseController(w), request: r.Context(), catalogue: catalogue, work: work,
		chunk: []byte(`{"items":[`),
	}
}

// add adds one item. An error of the catalogue, which errors.Is tells from one of the
// connection by [errWrite], leaves the answer as it was.
func (a *answer) add(record messaging.Record) error {
	if err := a.encode(record); err != nil || len(a.chunk) < answerChunkBytes {
		return err
	}
	return a.flush()
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

// finish writes what is left of the answer.
func (a *answer) finish(found hub.Listed) error {
	a.chunk = strconv.AppendInt(append(a.chunk, `],"count":`...), int64(a.count), 10)
	a.chunk = append(append(a.chunk, besides(found)...), '}')
	if !a.started {
		a.writer.Header().Set("Content-Length", strconv.Itoa(len(a.chunk)))
	}
	return a.flush()
}

// errWrite is matched by an error of the connection.
var errWrite = errors.New("the answer cannot be written")

// flush writes the chunk, with a deadline for each answerChunkBytes of it. The server
// takes the deadline back at the end of the request.
func (a *answer) flush() error {
	a.started = true
	for rest := a.chunk; len(rest) > 0; {
		if a.request.Err() != nil {
			return fmt.Errorf("%w: %w", errWrite, a.request.Err())
		}
		_ = a.control.SetWriteDeadline(time.Now().Add(answerWriteTimeout)) // where it is supported
		part := rest[:min(len(rest), answerChunkBytes)]
		_, err := a.writer.Write(part)
		if err == nil {
			err = a.control.Flush()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errWrite, err)
		}
		rest = rest[len(part):]
	}
	a.chunk = a.chunk[:0]
	if cap(a.chunk) > 2*answerChunkBytes {
		a.chunk = nil // a large item is not held until the end
	}
	return nil
}

// cutOff interrupts a write as soon as the request ends, as it does when the server
// stops. The function that it returns has to be called when nothing is written any more.
func (a *answer) cutOff() (stop func() bool) {
	return context.AfterFunc(a.request, func() { _ = a.control.SetWriteDeadline(time.Now()) })
}
