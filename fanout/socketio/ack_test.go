package socketio_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/fanout/engineio"
	"github.com/letswriteabook/realtime/fanout/socketio"
)

func TestAcknowledgement(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, _ := s.join()
	p.send(`42456["question",1]`)
	ack := s.expect("event", "question 1").ack
	if err := ack(1, "2", map[string]any{"3": []bool{false}}); err != nil {
		t.Fatal(err)
	}
	p.expect(`43456[1,"2",{"3":[false]}]`)
	want(t, "second call", ack(), socketio.ErrAckSent)
	p.send(`420["question"]`) // 0 is an id
	if err := s.expect("event", "question").ack(); err != nil {
		t.Fatal(err)
	}
	p.expect(`430[]`)
	p.send(`427["question"]`)
	late := s.expect("event", "question").ack
	_ = p.Close()
	s.expect("disconnect", engineio.ReasonTransportClose)
	want(t, "after close", late(), socketio.ErrClosed)
}

func TestEmitWithAck(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	answers := make(chan string, 8)
	note := func(answer socketio.Answer, err error) {
		answers <- fmt.Sprintf("%s %q %v", answer.Args, answer.Attachments, err)
	}
	for range 2 {
		if err := socket.EmitWithAck("question", note, 1); err != nil {
			t.Fatal(err)
		}
	}
	p.expect(`420["question",1]`)
	p.expect(`421["question",1]`)
	p.send(`431["b",2]`)
	want(t, "answer", receive(t, answers, "answer"), `["b" 2] [] <nil>`)
	p.send(`430[]`)
	want(t, "answer", receive(t, answers, "answer"), `[] [] <nil>`)
	p.send(`430[]`) // nobody waits for these
	p.send(`4377[]`)
	if err := socket.EmitWithAck("question", note, socketio.Placeholder(0), socketio.Attachments{[]byte("bin")}); err != nil {
		t.Fatal(err)
	}
	p.expect(`451-2["question",{"_placeholder":true,"num":0}]`)
	p.expect("b:bin")
	p.send(`461-2[{"_placeholder":true,"num":0}]`)
	p.sendBinary("back")
	want(t, "answer", receive(t, answers, "answer"), `[{"_placeholder":true,"num":0}] ["back"] <nil>`)

	if err := socket.EmitWithAck("question", note); err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	want(t, "answer", receive(t, answers, "answer"), `[] [] `+socketio.ErrClosed.Error())
	want(t, "after close", socket.EmitWithAck("question", note), socketio.ErrClosed)
	want(t, "answers left", len(answers), 0)
}

func TestAcksNeverAnswered(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p, socket := s.join()
		errs := make(chan error, 100)
		note := func(_ socketio.Answer, err error) { errs <- err }
		go func() { // ends with the connection
			for {
				if _, _, err := p.NextReader(); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		for range 64 {
			if err := socket.EmitWithAck("question", note); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "one too many", socket.EmitWithAck("question", note), socketio.ErrTooManyAcks)
		for range 64 {
			want(t, "error", <-errs, socketio.ErrAckTimeout)
		}
		want(t, "after", time.Since(start), 10*time.Second)
		if err := socket.EmitWithAck("question", note); err != nil {
			t.Errorf("after the timeout: %v", err)
		}
	})
}

func TestBinaryEvent(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, socket := s.join()
	p.send(`452-["message",{"_placeholder":true,"num":1},{"deep":[{"num":0,"_placeholder":true}]}]`)
	p.sendBinary("\x01\x02\x03")
	p.sendBinary("")
	got := s.expect("event", `message {"_placeholder":true,"num":1} {"deep":[{"num":0,"_placeholder":true}]}`)
	want(t, "attachments", fmt.Sprintf("%q", got.binary), `["\x01\x02\x03" ""]`)
	p.send(`451-/custom,["not joined",{"_placeholder":true,"num":0}]`)
	p.sendBinary("ignored")
	p.send(`451-789["ack",{"_placeholder":true,"num":0}]`)
	p.sendBinary("x")
	got = s.expect("event", `ack {"_placeholder":true,"num":0}`)
	if err := got.ack(socketio.Placeholder(0), socketio.Attachments{[]byte("y")}); err != nil {
		t.Fatal(err)
	}
	p.expect(`461-789[{"_placeholder":true,"num":0}]`)
	p.expect("b:y")
	if err := socket.Emit("two", socketio.Placeholder(1), socketio.Placeholder(0), socketio.Attachments{[]byte("a"), []byte("b")}); err != nil {
		t.Fatal(err)
	}
	p.expect(`452-["two",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]`)
	p.expect("b:a")
	p.expect("b:b")
	p.send(`450-["none"]`)
	s.expect("event", "none")
}

// TestLargeAttachmentsAreAnswered: an event whose attachments are too large, one alone
// or all together, is refused with its acknowledgement, and the socket stays.
func TestLargeAttachmentsAreAnswered(t *testing.T) {
	t.Parallel()
	const limit, beyondTransport = 1000, 140_000
	s := setup(t, options{configure: func(cfg *socketio.Config) { cfg.MaxEventBytes, cfg.MaxPayloadBytes = limit, 2*beyondTransport-1 }})
	p, _ := s.join()
	const data = `["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	for _, sizes := range [][2]int{{beyondTransport, 3}, {3, beyondTransport}, {beyondTransport, beyondTransport}, {limit, 1}} {
		p.send(`452-7` + data)
		p.sendBinary(strings.Repeat("a", sizes[0]))
		p.sendBinary(strings.Repeat("b", sizes[1]))
		got := s.expect("oversized", strconv.Itoa(len(data)+sizes[0]+sizes[1]))
		if err := got.ack("no"); err != nil {
			t.Fatal(err)
		}
		p.expect(`437["no"]`)
		p.send(`42["after"]`)
		s.expect("event", "after")
	}
	p.send(`452-` + data)
	p.sendBinary(strings.Repeat("a", limit-1))
	p.sendBinary("b")
	s.expect("event", `x {"_placeholder":true,"num":0} {"_placeholder":true,"num":1}`)
	p.sendBinary(strings.Repeat("a", beyondTransport)) // of no packet
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonParseError)
}

func TestBinaryEventForTextHandler(t *testing.T) {
	t.Parallel()
	s := setup(t, options{text: true})
	p, _ := s.join()
	p.send(`451-["message",{"_placeholder":true,"num":0}]`)
	p.sendBinary("x")
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonParseError)
}

// A placeholder must name an attachment with a whole number in range.
func TestCVE20222421Placeholders(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, num := range []string{`-1`, `1`, `1e3`, `0.5`, `"0"`, `"__proto__"`, `null`, `{}`, `[0]`, `99999999999999999999`, `true`} {
		for _, arg := range []string{`{"_placeholder":true,"num":` + num + `}`, `[[{"a":{"num":` + num + `,"_placeholder":true}}]]`} {
			p, _ := s.join()
			p.send(`451-["x",` + arg + `]`)
			p.expectClosed()
			s.expect("disconnect", engineio.ReasonParseError)
		}
	}
	p, _ := s.join()
	p.send(`451-["x",{"_placeholder":true}]`) // none at all
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonParseError)
}

// The number of attachments announced is capped.
func TestCVE202633151ManyAttachments(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	for _, packet := range []string{`459999-["x"]`, `4511-["x"]`, `45999999999999-["x"]`, `469999-1[]`} {
		p, _ := s.join()
		p.send(packet)
		p.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)
	}
}

// Binary messages that belong to no packet are not kept.
func TestCVE202669185AttachmentsOfNothing(t *testing.T) {
	t.Parallel()
	s := setup(t, options{})
	p, _ := s.join()
	p.send(`450-["x"]`)
	s.expect("event", "x")
	p.sendBinary("one too many")
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonParseError)

	p, _ = s.join()
	p.send(`452-["x"]`)
	p.sendBinary("one")
	p.send(`42["text among them"]`)
	p.expectClosed()
	s.expect("disconnect", engineio.ReasonParseError)
}

// Nothing is collected before CONNECT, too much never, nor for too long.
func TestCVE202648804PartialPackets(t *testing.T) {
	t.Parallel()
	onFakeClock(t, options{}, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(`452-["x"]`)
		p.expectClosed()
		p = s.dial()
		p.sendBinary("x")
		p.expectClosed()

		p, _ = s.join()
		p.send(`453-["x"]`)
		p.sendBinary(strings.Repeat("x", 600_000))
		p.sendBinary(strings.Repeat("x", 600_000))
		p.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)

		p, _ = s.join()
		start := time.Now()
		p.send(`452-["x"]`)
		p.sendBinary("one")
		p.expectClosed()
		s.expect("disconnect", engineio.ReasonParseError)
		want(t, "after", time.Since(start), 10*time.Second)
	})
}
