package gateway

import (
	"testing"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/messaging"
)

// TestAnEventIsCompressedOnce: for sockets with any offsets the compressed beginning of an
// event is the same, sockets with equal offsets share a frame, and the form is counted.
func TestAnEventIsCompressedOnce(t *testing.T) {
	t.Parallel()
	plain, _ := eventOf(5000)
	ev := &hub.Event{JobID: plain.JobID, Sequence: plain.Sequence, Epoch: plain.Epoch, Name: plain.Name, Payload: plain.Payload}
	forms := Encoder{Offsets: true, Deflate: true}.encode(ev)
	if got, without := forms.Forms(), formsOf(plain).Forms(); got <= without {
		t.Errorf("%d forms with compression, %d without", got, without)
	}
	frame := func(packet []byte) []byte {
		made, ok := forms.deflate(packet)
		if !ok {
			t.Fatal("the event was not compressed")
		}
		return made.Data
	}
	packetOf := func(sequence uint64) []byte {
		return forms.packetWith(twoJobs(sequence).with(ev.Epoch, forms.key, ev.Sequence))
	}
	first, again := frame(forms.packet), frame(forms.packet)
	without, withoutAgain := frame(forms.plainPacket()), frame(forms.plainPacket())
	two, twoAgain, other := frame(packetOf(3)), frame(packetOf(3)), frame(packetOf(4))
	if &first[0] != &again[0] || &without[0] != &withoutAgain[0] || &two[0] != &twoAgain[0] || &two[0] == &other[0] {
		t.Error("equal packets have frames of their own, or different ones share a frame")
	}
	beginning := string(forms.deflated.Load().beginning)
	for _, data := range [][]byte{first, without, two, other} {
		if len(data) >= 1000 || string(data[:len(beginning)]) != beginning {
			t.Errorf("a frame of %d bytes, or one with a beginning of its own", len(data))
		}
	}
	forms.Settle()
	if late := frame(packetOf(5)); len(late) >= 1000 || forms.deflated.Load().others[0].Load() != nil {
		t.Error("a frame is kept after the event was handed on")
	}

	small := Encoder{Deflate: true}.encode(&hub.Event{Name: "e", Payload: []byte(`{"a":1}`)})
	if small.common != 0 || small.Forms() != formsOf(plain).Forms() {
		t.Error("a small event is to be compressed")
	}
}

// TestAnEventThatStaysLargeIsNotCompressed: one of random text, for instance.
func TestAnEventThatStaysLargeIsNotCompressed(t *testing.T) {
	t.Parallel()
	payload := make([]byte, 2000)
	for i, state := 0, uint32(1); i < len(payload); i++ {
		state = state*1664525 + 1013904223
		payload[i] = byte(state >> 24)
	}
	forms := Encoder{Deflate: true}.encode(&hub.Event{Name: messaging.EventPong, Payload: payload})
	if _, ok := forms.deflate(forms.packet); ok {
		t.Error("a larger form of the event is sent")
	}
}
