package engineio_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/fanout/engineio"
)

func TestParsePacket(t *testing.T) {
	t.Parallel()
	for text, wanted := range map[string]string{
		"0{}": "0|{}", "1": "1|", "2probe": "2|probe", "3": "3|", "4": "4|", "4hé": "4|hé", "5": "5|", "6": "6|",
		"": "", "7": "", "a": "", "-1": "", "4\xff": "", "\x1e4": "",
	} {
		packet, err := engineio.ParsePacket([]byte(text))
		if wanted == "" {
			if !errors.Is(err, engineio.ErrPacket) {
				t.Errorf("%q: error %v", text, err)
			}
			continue
		}
		if got := string(packet.Type) + "|" + string(packet.Data); err != nil || got != wanted || packet.Binary {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestPayloadRoundTrip(t *testing.T) {
	t.Parallel()
	frames := []engineio.Frame{
		engineio.TextMessage([]byte("hello")), engineio.TextMessage(nil), engineio.BinaryMessage([]byte{1, 2, 3, 4}), {Data: []byte("2")},
	}
	payload := engineio.AppendPayload(nil, frames...)
	want(t, "payload", string(payload), "4hello\x1e4\x1ebAQIDBA==\x1e2")
	var got []string
	for packet, err := range engineio.Packets(payload) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(packet.Type)+string(packet.Data))
	}
	want(t, "packets", strings.Join(got, " "), "4hello 4 4\x01\x02\x03\x04 2")
}

func TestPayloadEndsAtItsFirstError(t *testing.T) {
	t.Parallel()
	count := 0
	for _, err := range engineio.Packets([]byte("4a\x1ex\x1e4b")) {
		count++
		want(t, "error", err != nil, count == 2)
	}
	want(t, "packets", count, 2)
}

// FuzzPayload checks that what is read can be written and read again.
func FuzzPayload(f *testing.F) {
	for _, seed := range []string{
		"4hello", "4a\x1e4b", "4hello\x1ebAQIDBA==", "", "\x1e", "b", "b=", "bAQ", "2probe\x1e3probe\x1e5\x1e6\x1e1", "4\xff", "9", "4" + strings.Repeat("\x1e6", 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var frames []engineio.Frame
		for packet, err := range engineio.Packets(payload) {
			if err != nil {
				if !errors.Is(err, engineio.ErrPacket) {
					t.Fatalf("error %v is no ErrPacket", err)
				}
				if engineio.CheckPayload(payload) == nil {
					t.Fatal("CheckPayload misses the error")
				}
				return
			}
			frame := engineio.BinaryMessage(packet.Data)
			if !packet.Binary {
				frame = engineio.Frame{Data: append([]byte{byte(packet.Type)}, packet.Data...)}
			}
			frames = append(frames, frame)
		}
		again := 0
		for packet, err := range engineio.Packets(engineio.AppendPayload(nil, frames...)) {
			if err != nil {
				t.Fatal(err)
			}
			if frame := frames[again]; packet.Binary != frame.Binary || !bytes.HasSuffix(frame.Data, packet.Data) {
				t.Fatalf("packet %d changed", again)
			}
			again++
		}
		if again != len(frames) {
			t.Fatalf("%d packets of %d", again, len(frames))
		}
	})
}
