package engineio

import "testing"

// A large frame is taken alone, also behind a pong of the WebSocket layer, and whatever
// follows it: it counts as sent only once it was written.
func TestLargeFrameIsTakenAlone(t *testing.T) {
	t.Parallel()
	for _, size := range []int{coalesceBytes - 1, coalesceBytes, coalesceBytes + 1} {
		session := &Session{}
		w := &webSocket{session: session, own: []Frame{{pong: true}}}
		session.transport = w
		for _, length := range []int{size, 0, 1, size, size} {
			session.queue.push(Frame{Data: make([]byte, length)})
		}
		taken := 0
		for !session.queue.empty() {
			frames := w.pull(nil)
			taken += len(frames)
			for _, frame := range frames {
				if isLarge(frame) && len(frames) > 1 {
					t.Errorf("a frame of %d bytes is taken with %d others", len(frame.Data), len(frames)-1)
				}
			}
		}
		if taken != 6 {
			t.Errorf("%d frames were taken", taken)
		}
	}
}
