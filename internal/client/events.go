package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxEventBytes bounds one line of a stream, and the data of one event: a payload and
// its frame.
const maxEventBytes = 8 << 20

// errEventTooLong is returned for an event with more than maxEventBytes of data.
var errEventTooLong = fmt.Errorf("an event of the stream has more than %d bytes", maxEventBytes)

// eventReader reads a text/event-stream as browsers do (HTML Living Standard, section
// 9.2.6).
type eventReader struct {
	lines *bufio.Scanner
	begun bool
	// id is the position of the last id line; since is where the client resumes: the id
	// at the end of the last block.
	id    string
	since *string
	// pause is how long the client waits before its next connection.
	pause *time.Duration
}

func newEventReader(stream io.Reader, since *string, pause *time.Duration) *eventReader {
	lines := bufio.NewScanner(stream)
	lines.Buffer(make([]byte, 64<<10), maxEventBytes)
	lines.Split(splitLines())
	return &eventReader{lines: lines, id: *since, since: since, pause: pause}
}

// next returns the next event that has data. At the end of the stream, which discards
// an event that is not complete, the error is [io.EOF].
func (r *eventReader) next() (Event, error) {
	var event Event
	var data []byte // each line with a line feed after it
	for r.lines.Scan() {
		line := r.lines.Text()
		if !r.begun {
			line, r.begun = strings.TrimPrefix(line, "\ufeff"), true
		}
		if line == "" {
			*r.since = r.id
			if len(data) == 0 {
				event = Event{}
				continue
			}
			if event.Name == "" {
				event.Name = "message"
			}
			event.Data = string(data[:len(data)-1])
			return event, nil
		}
		field, value, _ := strings.Cut(line, ":") // a comment has an empty field
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event.Name = value
		case "data":
			if len(data)+len(value) > maxEventBytes {
				return Event{}, errEventTooLong
			}
			data = append(append(data, value...), '\n')
		case "id":
			if strings.IndexByte(value, 0) < 0 {
				event.ID, r.id = value, value
			}
		case "retry":
			if ms, err := strconv.ParseUint(value, 10, 63); err == nil {
				*r.pause = boundedPause(ms, time.Millisecond)
			}
		}
	}
	if err := r.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errEventTooLong
		}
		return Event{}, err
	}
	return Event{}, io.EOF
}

// boundedPause returns count units of time, but at most maxReconnectPause.
func boundedPause(count uint64, unit time.Duration) time.Duration {
	return time.Duration(min(count, uint64(maxReconnectPause/unit))) * unit
}

// splitLines splits at a line feed, a carriage return, or both in that order, without
// a wait for what follows a carriage return. A last line without an end is dropped.
func splitLines() bufio.SplitFunc {
	returned := false // the line before ended with a carriage return
	return func(data []byte, atEOF bool) (advance int, token []byte, err error) {
		skip := 0
		if returned && len(data) > 0 {
			returned = false
			if data[0] == '\n' {
				skip, data = 1, data[1:]
			}
		}
		end := bytes.IndexByte(data, '\n')
		before := data
		if end >= 0 {
			before = data[:end]
		}
		if i := bytes.IndexByte(before, '\r'); i >= 0 {
			end, returned = i, true
		}
		switch {
		case end >= 0:
			return skip + end + 1, data[:end], nil
		case atEOF:
			return skip + len(data), nil, nil
		}
		return skip, nil, nil
	}
}
