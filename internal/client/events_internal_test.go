package client

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestEventsAreReadAsBrowsersDo has the examples of the HTML Living Standard, section
// 9.2.6, and the cases that a simpler parser gets wrong.
func TestEventsAreReadAsBrowsersDo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, stream string
		want         []Event
		since        string
		pause        time.Duration
	}{
		{name: "two lines of data", stream: "data: YHOO\ndata: +2\ndata: 10\n\n", want: []Event{{Name: "message", Data: "YHOO\n+2\n10"}}},
		{
			name: "comment, id, id without a value", stream: ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			want: []Event{{Name: "message", ID: "1", Data: "first event"}, {Name: "message", Data: "second event"}, {Name: "message", Data: " third event"}},
		},
		{name: "data without a value, and an event that is not complete", stream: "data\n\ndata\ndata\n\ndata:", want: []Event{{Name: "message"}, {Name: "message", Data: "\n"}}},
		{name: "no space", stream: "event:e\nid:a:1\ndata:x\n\n", want: []Event{{Name: "e", ID: "a:1", Data: "x"}}, since: "a:1"},
		{name: "a comment within a block", stream: "event: e\n: heartbeat\ndata: x\n:\nid: a:1\n\n", want: []Event{{Name: "e", ID: "a:1", Data: "x"}}, since: "a:1"},
		{name: "carriage returns", stream: "event: e\rdata: x\r\r\nevent: f\r\ndata: y\r\n\r\n", want: []Event{{Name: "e", Data: "x"}, {Name: "f", Data: "y"}}},
		{name: "a byte order mark", stream: "\ufeffdata: x\n\n", want: []Event{{Name: "message", Data: "x"}}},
		{name: "an id without data", stream: "id: a:1\nevent: e\n\ndata: x\n\n", want: []Event{{Name: "message", Data: "x"}}, since: "a:1"},
		{name: "an id of a block that is not complete", stream: "id: a:1\ndata: x\n\nid: a:2\ndata: y\n", want: []Event{{Name: "message", ID: "a:1", Data: "x"}}, since: "a:1"},
		{name: "an id with a NUL", stream: "id: a:1\n\nid: b\x00\ndata: x\n\n", want: []Event{{Name: "message", Data: "x"}}, since: "a:1"},
		{name: "unknown fields", stream: "Data: x\ndata : y\nother: z\ndata: x\n\n", want: []Event{{Name: "message", Data: "x"}}},
		{name: "retry", stream: "retry:20\n\nretry: x\nretry: -1\nretry: +5\n\n", pause: 20 * time.Millisecond},
		{name: "a long retry", stream: "retry: 9000000000000000000\n\n", pause: maxReconnectPause},
	} {
		for _, whole := range []bool{true, false} {
			var input io.Reader = strings.NewReader(test.stream)
			if !whole {
				input = iotest.OneByteReader(input)
			}
			var since string
			var pause time.Duration
			var got []Event
			events := newEventReader(input, &since, &pause)
			event, err := events.next()
			for ; err == nil; event, err = events.next() {
				got = append(got, event)
			}
			if !errors.Is(err, io.EOF) || !slices.Equal(got, test.want) || since != test.since || pause != test.pause {
				t.Errorf("%s: %q, since %q, pause %s, %v", test.name, got, since, pause, err)
			}
		}
	}
}

// TestEventsAreBounded: neither one line nor many make the reader keep more.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]string{
		"one line":   "data: " + strings.Repeat("x", maxEventBytes+1) + "\n\n",
		"many lines": strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 9) + "\n",
	} {
		var since string
		var pause time.Duration
		if _, err := newEventReader(strings.NewReader(stream), &since, &pause).next(); !errors.Is(err, errEventTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
