package socket

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestParseEvent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text, name, offset string
		args               int
		bad                bool
	}{
		{text: `["a"]`, name: "a", offset: "a"},
		{text: `17["a",{"b":[1]},"off"]`, name: "a", args: 2, offset: "off"},
		{text: `["a\"b",1]`, name: `a"b`, args: 1},
		{text: `["a","\\"]`, name: "a", args: 1, offset: `\`},
		{text: `["` + "\u00e9" + `"]`, name: "\u00e9"},
		{text: `[]`, bad: true},
		{text: `[1]`, bad: true},
		{text: `["a`, bad: true},
		{text: `["a\"]`, bad: true},
		{text: `{"a":1}`, bad: true},
		{text: ``, bad: true},
		{text: `["\x"]`, bad: true},
	}
	for _, test := range tests {
		event, err := parseEvent([]byte(test.text), time.Time{})
		if (err != nil) != test.bad || err != nil && !errors.Is(err, errProtocol) {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if test.bad {
			continue
		}
		args, err := event.Args()
		if _, array := cutNumber([]byte(test.text)); string(event.Text()) != string(array) {
			t.Errorf("%s: the text is %s", test.text, event.Text())
		}
		if event.Name != test.name || err != nil || len(args) != test.args {
			t.Errorf("%s: got %q with %d arguments, %v", test.text, event.Name, len(args), err)
		}
		if offset, has := event.offset(); test.args > 0 && (offset != test.offset || has != (test.offset != "")) {
			t.Errorf("%s: got the offset %q, %v", test.text, offset, has)
		}
	}
}

// Whatever a server sends is an event or an error, and the name is the one that a
// decoder of JSON finds.
func FuzzParseEvent(f *testing.F) {
	for _, text := range []string{`["a"]`, `17["a",{"b":[1]},"off"]`, `["a\"b",1]`, `["\u0061"]`, `[`, `99999999999999999999["a"]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		event, err := parseEvent(text, time.Time{})
		if err != nil {
			return
		}
		event.offset()
		_, array := cutNumber(text)
		var all []any
		if json.Unmarshal(array, &all) == nil && len(all) > 0 && all[0] != event.Name {
			t.Fatalf("%s: got %q, want %v", text, event.Name, all[0])
		}
	})
}
