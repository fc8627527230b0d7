package hub

import "context"

// unfollowQueued unfollows the jobs of the rooms in the queue. While the tail has no
// server, it may take seconds for one.
func (h *Hub) unfollowQueued(context.Context) {
	for room := h.nextQueued(); room != nil; room = h.nextQueued() {
		h.leave(room)
	}
}

// nextQueued takes a room from the queue. Without one it ends the work, and returns nil.
func (h *Hub) nextQueued() *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		h.queue, h.unfollowing = nil, false
		return nil
	}
	room := h.queue[0]
	h.queue[0] = nil
	h.queue = h.queue[1:]
	return room
}

// leave unfollows the job of a room that has closed. A newer room of the same job waits
// until then: otherwise the tail would unfollow the job for that room, too. A panic of the
// tail ends the call only, so that leave is run once for each room.
func (h *Hub) leave(room *room) {
	_ = h.guard.Do("unfollow", func() error { h.tail.Unfollow(room.jobID); return nil }) // noted there
	h.mu.Lock()
	if h.leaving[room.jobID] == room {
		delete(h.leaving, room.jobID)
	}
	h.mu.Unlock()
	close(room.left)
}
