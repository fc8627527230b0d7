package socketio_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

func TestParsePacket(t *testing.T) {
	t.Parallel()
	for text, wanted := range map[string]string{
		`0`:                               "0 0 / - ",
		`0{"token":"123"}`:                `0 0 / - {"token":"123"}`,
		`0/custom,`:                       "0 0 /custom - ",
		`0/custom`:                        "0 0 /custom - ",
		`0/custom?token=1,{"a":1}`:        `0 0 /custom - {"a":1}`,
		`1`:                               "1 0 / - ",
		`1/custom,`:                       "1 0 /custom - ",
		`2["a"]`:                          `2 0 / - ["a"]`,
		`2 ["a"]`:                         `2 0 / -  ["a"]`,
		`2/custom,["a",1]`:                `2 0 /custom - ["a",1]`,
		`212["a"]`:                        `2 0 / 12 ["a"]`,
		`20["a"]`:                         `2 0 / 0 ["a"]`,
		`2/custom,7["a"]`:                 `2 0 /custom 7 ["a"]`,
		`29007199254740991["a"]`:          `2 0 / 9007199254740991 ["a"]`,
		`312[]`:                           `3 0 / 12 []`,
		`4{"message":"no"}`:               `4 0 / - {"message":"no"}`,
		`51-["a",{}]`:                     `5 1 / - ["a",{}]`,
		`52-/custom,7["a"]`:               `5 2 /custom 7 ["a"]`,
		`61-/custom,7[]`:                  `6 1 /custom 7 []`,
		`50-["a"]`:                        `5 0 / - ["a"]`,
		``:                                "",
		`7`:                               "",
		`a`:                               "",
		`0[]`:                             "",
		`0"text"`:                         "",
		`0null`:                           "",
		`012`:                             "0 0 / 12 ",
		`1{}`:                             "",
		`2`:                               "",
		`2{}`:                             "",
		`2"a"`:                            "",
		`2["a"`:                           "",
		`2abc["a"]`:                       "",
		`2["a"]x`:                         "",
		`3[]`:                             "",
		`31{}`:                            "",
		`5["a"]`:                          "",
		`5-["a"]`:                         "",
		`5x-["a"]`:                        "",
		`5-1-["a"]`:                       "",
		`51["a"]`:                         "",
		`51.5-["a"]`:                      "",
		`599999999999-["a"]`:              "",
		`299999999999999999999["a"]`:      "",
		`29007199254740993999["a"]`:       "",
		`0/` + strings.Repeat("x", 300):   "",
		`2` + strings.Repeat("[", 20_000): "",
	} {
		packet, err := socketio.ParsePacket([]byte(text))
		if wanted == "" {
			if !errors.Is(err, socketio.ErrPacket) {
				t.Errorf("%.40q: %+v, error %v", text, packet, err)
			}
			continue
		}
		id := "-"
		if packet.HasID {
			id = fmt.Sprint(packet.ID)
		}
		got := fmt.Sprintf("%c %d %s %s %s", packet.Type, packet.Attachments, packet.Namespace, id, packet.Data)
		if err != nil || got != wanted {
			t.Errorf("%q: %s, %v; want %s", text, got, err, wanted)
		}
	}
}

func TestEncodeEvent(t *testing.T) {
	t.Parallel()
	want(t, "no payload", string(socketio.EncodeEvent("pong")), `42["pong"]`)
	want(t, "one", string(socketio.EncodeEvent("a", json.RawMessage(`{"b":1}`))), `42["a",{"b":1}]`)
	want(t, "two", string(socketio.EncodeEvent(`"`, json.RawMessage(`1`), json.RawMessage(`"x"`))), `42["\"",1,"x"]`)
	want(t, "empty name", string(socketio.EncodeEvent("", json.RawMessage(`1`))), `42["",1]`)
}

// FuzzPacket checks that what is read can be written and read again, and that
// an event is taken apart as encoding/json would.
func FuzzPacket(f *testing.F) {
	for _, seed := range []string{
		`0`, `0{"token":"123"}`, `0/custom,{"a":1}`, `1/custom,`, `2["a",1,"2",{"3":[true]}]`, `2/admin,456["x"]`, `3456[]`, `44{"message":"no"}`,
		`52-["a",{"_placeholder":true,"num":0},[{"num":1,"_placeholder":true}]]`, `61-789[{"_placeholder":true,"num":0}]`, `59999-["x"]`, `2[" \u0061\"",[1 , 2] , "]"]`, `2[ ]`, `2[{}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packet, err := socketio.ParsePacket(text)
		if err != nil {
			if !errors.Is(err, socketio.ErrPacket) {
				t.Fatalf("error %v is no ErrPacket", err)
			}
			return
		}
		written := packet.Append(nil)
		again, err := socketio.ParsePacket(written)
		if err != nil {
			t.Fatalf("%q was read, %q was not: %v", text, written, err)
		}
		if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", packet) {
			t.Fatalf("%+v became %+v", packet, again)
		}
		_ = socketio.CheckPlaceholders(packet.Data, packet.Attachments)
		if packet.Type != socketio.PacketEvent {
			return
		}
		var elements []json.RawMessage
		if err := json.Unmarshal(packet.Data, &elements); err != nil {
			t.Fatalf("%q is no array: %v", packet.Data, err)
		}
		split := socketio.SplitArray(packet.Data)
		if len(split) != len(elements) {
			t.Fatalf("%q: %d elements, want %d", packet.Data, len(split), len(elements))
		}
		for i := range split {
			if string(split[i]) != string(elements[i]) {
				t.Fatalf("%q: element %d is %q, want %q", packet.Data, i, split[i], elements[i])
			}
		}
	})
}

func BenchmarkParsePacket(b *testing.B) {
	text := []byte(`2["subscribe",{"jobId":"job-0123456789","since":123456}]`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		packet, err := socketio.ParsePacket(text)
		if err != nil || len(socketio.SplitArray(packet.Data)) != 2 {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeEvent(b *testing.B) {
	payload := json.RawMessage(`{"jobId":"job-0123456789","emittedAt":"2024-05-01T10:00:00.000Z","event":{"type":"chapter.drafted","occurredAt":"2024-05-01T10:00:00.000Z"}}`)
	b.ReportAllocs()
	for b.Loop() {
		socketio.EncodeEvent("novel.domain-event", payload)
	}
}

// The name of an event is quoted as encoding/json does it.
func TestEncodeEventQuotesNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "novel.domain-event", `a"b`, `a\b`, "a<b>&c", "ä", "\u2028", "\x00\x1f", "\xff", "~ !"} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		want := "42[" + string(quoted) + `,{"n":1}]`
		if got := socketio.EncodeEvent(name, json.RawMessage(`{"n":1}`)); string(got) != want {
			t.Errorf("%q gives %s, want %s", name, got, want)
		}
	}
}
