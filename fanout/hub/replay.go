package hub

import (
	"github.com/letswriteabook/realtime/messaging"
)

// Show hands a record to the live subscriptions of a job once more, marked as a replay.
// It moves no cursor and enters no ring, so that it does not affect the order of the job's
// own events, or the detection of missing ones. A client that is behind, or whose queue is
// full, is not shown the record.
func (h *Hub) Show(replay messaging.Replay) {
	h.mu.RLock()
	room := h.rooms[replay.Room]
	h.mu.RUnlock()
	if room == nil || h.erased.covers(replay.Record) {
		return
	}
	payload, err := h.catalogue.AppendReplay(make([]byte, 0, len(replay.Body)+256), replay)
	if err != nil {
		h.Undeliverable(replay.Record, err)
		return
	}
	name, _ := h.catalogue.SocketEvent(replay.Kind)
	ev := &Event{Name: name, Payload: payload}
	ev.Wire = h.encoder.Encode(ev)
	shown, missed := room.show(ev)
	h.metrics.replays.WithLabelValues("shown").Add(float64(shown))
	h.metrics.replays.WithLabelValues("missed").Add(float64(missed))
}

// Followers returns the number of subscriptions to a job.
func (h *Hub) Followers(jobID string) int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if room := h.rooms[jobID]; room != nil {
		return room.refs
	}
	return 0
}

// show offers an event that is not the job's next one to the live subscriptions.
func (r *room) show(ev *Event) (shown, missed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 0; i < len(r.live); {
		i = r.showFrom(i, ev, &shown, &missed)
	}
	return shown, missed
}

// showFrom is show from place i on, as [room.offerFrom] is of push. The mutex is held.
func (r *room) showFrom(i int, ev *Event, shown, missed *int) (next int) {
	defer func() {
		if cause := recover(); cause != nil {
			r.abort(r.live[i], "replayed event", cause)
			*missed++
			next = i
		}
	}()
	for ; i < len(r.live); i++ {
		// Not Subscription.offer, after which a full sink would fall back.
		if r.live[i].sink.Offer(ev) {
			*shown++
		} else {
			*missed++
		}
	}
	return i
}
