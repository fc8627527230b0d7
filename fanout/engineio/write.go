package engineio

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/gorilla/websocket"
)

const (
	// batchFrames and coalesceBytes bound one write to a WebSocket.
	batchFrames = 256
	// batchesInTurn is how many writes a WebSocket gets before the next WebSocket.
	batchesInTurn = 8
)

// batch has the buffers of one of the [writers].
type batch struct {
	attempt *attempt
	frames  [batchFrames]Frame
}

// writeReady writes waiting frames as far as possible without waiting for the client. It
// reports whether the WebSocket needs another turn.
func (w *webSocket) writeReady(b *batch) (again bool) {
	ended := true // also after a panic
	defer func() {
		if ended {
			again = false
			w.server.running.Done()
		}
	}()
	defer w.server.guard.Recover("WebSocket writer", w.cut)
	frames, used := b.frames[:0], 0
	defer func() { clear(b.frames[:used]) }()
	for turn := 0; ; turn++ {
		var waiting Receiver
		var goodbye []byte
		if frames, waiting, goodbye, again = w.next(frames, turn < batchesInTurn); waiting != nil {
			waiting.Room()
		}
		used = max(used, len(frames))
		done, collected, err := true, false, error(nil)
		if len(frames) > 0 {
			done, collected, err = w.conn.tryFrames(frames, b.attempt)
		}
		switch {
		case err != nil:
			return false // the connection is closed, which ends the session
		case !done || goodbye != nil:
			ended = false
			go w.writeSlowly(slices.Clone(frames), collected, goodbye) // ends with the connection at the latest
			return false
		case len(frames) == 0:
			ended = !again
			return again
		}
	}
}

// writeSlowly writes frames, which the connection may have collected already, the frames
// that wait after them, and the close frame. It waits for the client as long as conn does.
func (w *webSocket) writeSlowly(frames []Frame, collected bool, goodbye []byte) {
	defer w.server.running.Done()
	defer w.server.guard.Recover("WebSocket writer", w.cut)
	for {
		if goodbye != nil {
			_ = w.conn.writeClose(goodbye) // the connection is closed, whatever became of it
			_ = w.conn.Close()
			return
		}
		var err error
		if collected {
			err = w.conn.flush()
		} else {
			err = w.conn.writeFrames(frames)
		}
		if err != nil {
			return // the connection is closed, which ends the session
		}
		var waiting Receiver
		collected = false
		if frames, waiting, goodbye, _ = w.next(frames, true); waiting != nil {
			waiting.Room()
		}
		if len(frames) == 0 && goodbye == nil {
			return
		}
	}
}

// next takes what is to be written after frames that were, unless others are to have their
// turn first; then again is true. It returns whom to tell that there is room again, or nil,
// and the close frame once everything else was written.
//
// A large frame is taken alone, and counts as sent once it was written. Others count when
// they are taken, coalesceBytes at most: whoever has received one finds it sent.
func (w *webSocket) next(written []Frame, take bool) (frames []Frame, waiting Receiver, goodbye []byte, again bool) {
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	frames = written[:0]
	if len(written) > 0 && isLarge(written[0]) {
		waiting = w.account(written)
	}
	if !take && w.waits() {
		return frames, waiting, nil, true
	}
	if frames = w.pull(frames); len(frames) > 0 {
		if !isLarge(frames[0]) {
			if room := w.account(frames); room != nil {
				waiting = room
			}
		}
		return frames, waiting, nil, false
	}
	if s.state == stateClosing && s.transport == w {
		w.finish() // its flush does nothing while w.writing
	}
	goodbye, w.goodbye = w.goodbye, nil
	w.writing = goodbye != nil // and nothing after it
	return frames, waiting, goodbye, false
}

// pull adds waiting frames to those that are written next: a large one alone, or others up
// to coalesceBytes. Called with the session's lock held.
func (w *webSocket) pull(frames []Frame) []Frame {
	frames = append(frames, w.own...)
	w.own = nil
	queue := &w.session.queue
	if w.session.transport != w {
		return frames
	}
	for size := 0; !queue.empty() && len(frames) < batchFrames; queue.pop() {
		front := queue.front()
		if size += len(front.Data); len(frames) > 0 && (isLarge(front) || isLarge(frames[0]) || size > coalesceBytes) {
			break
		}
		frames = append(frames, front)
	}
	return frames
}

// account counts frames as sent, without a pong of the WebSocket layer, which was never
// counted as waiting. Called with the session's lock held.
func (w *webSocket) account(frames []Frame) (waiting Receiver) {
	if frames[0].pong {
		frames = frames[1:]
	}
	if len(frames) == 0 {
		return nil
	}
	w.server.metrics.sent.Add(float64(len(frames)))
	w.session.moved(frames...)
	return w.session.sent(costBytes(frames...), controlCostBytes(frames...))
}

// waits reports whether there is something to write. Called with the session's lock held.
func (w *webSocket) waits() bool {
	return len(w.own) > 0 || w.goodbye != nil || w.session.transport == w && !w.session.queue.empty()
}

// sayGoodbye schedules a close frame after all other frames, once. Called with the
// session's lock held.
func (w *webSocket) sayGoodbye(code int, text string) {
	if !w.closing {
		w.closing = true
		w.goodbye = websocket.FormatCloseMessage(code, text)
	}
}

// appendHeader appends the header of a frame of the server (RFC 6455, section 5.2), which
// is final and not masked; opcode may have deflatedBit:
//
//	FIN RSV1 opcode | length7 | length16 or length64
func appendHeader(dst []byte, opcode byte, length int) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length)) // #nosec G115 -- by the case
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length)) // #nosec G115 -- a length is not negative
}
