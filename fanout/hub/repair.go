package hub

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/messaging"
)

// repairCause says what showed that a room had missed live records. It is the label of a
// counter.
type repairCause string

const (
	// causeDropped: a live record arrived without its predecessor.
	causeDropped repairCause = "dropped"
	// causeOpening: records were stored while the room was being opened.
	causeOpening repairCause = "opening"
	// causeCheck: the routine comparison with the log, and nothing before it.
	causeCheck repairCause = "check"
	// The tail reported that it may have missed records. The first one also stands for a
	// check that is repeated because the log had not answered.
	causeReconnect = repairCause(messaging.DisruptionReconnect)
	causeOverflow  = repairCause(messaging.DisruptionOverflow)
	causeEpoch     = repairCause(messaging.DisruptionEpoch)
)

var repairCauses = []repairCause{causeDropped, causeOpening, causeCheck, causeReconnect, causeOverflow, causeEpoch}

// checkBatch is how many jobs one request to the log names.
const checkBatch = 128

// maxRepairs bounds the concurrent reads of repairs, and with it their memory: a read
// holds one page, of at most pieceReserveBytes, until the room has taken it. After an
// outage of the log all rooms may be behind at once; the others wait for their turn, in
// the order in which they came. Reads for clients have slots of their own (see slotsOf).
const maxRepairs = 8

// repair reads what a room has missed from the log, until its head is the newest sequence
// that was named, or the room has closed. While a room is behind, one goroutine repairs it.
// Clients are given the events late, and are told of a gap only when the log has removed
// some.
func (h *Hub) repair(ctx context.Context, room *room, cause repairCause) {
	ctx, release := room.life.within(ctx)
	defer release()
	h.metrics.repairs.WithLabelValues(string(cause)).Inc()
	doubted := false
	for tries := 0; ctx.Err() == nil; {
		done, err := h.repairPage(ctx, room, &doubted)
		if h.retry(ctx, err, &tries) {
			continue
		}
		if done {
			return
		}
		if doubted {
			// The head of a quiet job is old, so that the log may have removed records of
			// other jobs only. The next live record names its predecessor, and proves
			// that.
			_ = wait.For(ctx, h.cfg.RetryInterval)
		}
	}
}

// repairPage is one turn of a repair: when a slot is free, it reads a page and hands it
// on. done reports that the room is no longer behind. When the log may have removed
// records that the room has not read, repairPage hands on nothing and sets doubted; in the
// next turn these records count as missed.
func (h *Hub) repairPage(ctx context.Context, room *room, doubted *bool) (done bool, err error) {
	if err := h.repairs.enter(ctx); err != nil {
		return false, err
	}
	defer h.repairs.leave()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ReadTimeout)
	defer cancel()
	epoch, after, seen := room.missing()
	records, err := h.repairLog.ReadAfter(ctx, room.jobID, after, maxPageEvents)
	if err != nil {
		return false, err
	}
	first, err := h.history.firstAvailable(ctx, epoch, records)
	if err != nil {
		return false, err
	}
	switch lost := room.lost(first); {
	case lost && !*doubted:
		*doubted = true
		return false, nil
	case !lost:
		first = 0
	}
	encoded, err := h.encodeRepaired(ctx, records)
	if err != nil {
		return false, err
	}
	*doubted = false
	if h.recorder != nil {
		for _, record := range records {
			h.recorder.Repaired(room.jobID, epoch, record.Sequence)
		}
	}
	room.takeRepaired(epoch, encoded, first)
	h.metrics.repaired.Add(float64(len(records)))
	if max(after, lastSequence(records)) >= seen && room.endRepair() {
		return true, nil
	}
	if len(records) > 0 {
		return false, nil
	}
	// A record that was named is not found: either the replica that answered is
	// behind, or the record has been removed since.
	newest, err := h.log.LastSequence(ctx, room.jobID)
	if err == nil && newest >= seen {
		err = errBehind
	}
	if err == nil {
		room.giveUp(seen)
	}
	return false, err
}

// encodeRepaired encodes the records of a page, within the gate.
func (h *Hub) encodeRepaired(ctx context.Context, records []messaging.Record) ([]repaired, error) {
	if err := h.history.work.enter(ctx); err != nil {
		return nil, err
	}
	defer h.history.work.leave()
	encoded := make([]repaired, len(records))
	for i, record := range records {
		encoded[i] = repaired{sequence: record.Sequence, event: h.encode(record)}
	}
	return encoded, nil
}

// check compares rooms with the log, in batches, and repairs those that have missed
// something. It also detects a new epoch of the log. After an error, the remaining rooms
// have not been compared.
func (h *Hub) check(ctx context.Context, rooms []*room, cause repairCause) error {
	if len(rooms) == 0 {
		return nil
	}
	if err := h.ensureErasures(ctx); err != nil {
		return err
	}
	before, err := h.log.Extent(ctx)
	if err != nil {
		return err
	}
	for len(rooms) > 0 && ctx.Err() == nil {
		batch := rooms[:min(checkBatch, len(rooms))]
		jobs := make([]string, len(batch))
		for i, room := range batch {
			jobs[i] = room.jobID
		}
		last, err := h.log.LastSequences(ctx, jobs)
		if err != nil {
			return err
		}
		extent, err := h.log.Extent(ctx)
		if err != nil {
			return err
		}
		h.setEpoch(extent.Epoch)
		renewed := extent.Epoch != before.Epoch
		before = extent
		if renewed {
			continue // the sequences may be of either epoch
		}
		rooms = rooms[len(batch):]
		for _, room := range batch {
			if fellBehind := room.compare(extent, last[room.jobID]); fellBehind {
				h.crew.persist("repair", func(ctx context.Context) { h.repair(ctx, room, cause) })
			}
		}
	}
	return nil
}

// setEpoch notes the log's epoch. When it differs from the last one, every room is
// checked, and restarts in the new one. For an open room its own epoch decides; the hub's
// is sent to clients whose room is not open yet.
func (h *Hub) setEpoch(epoch string) {
	h.mu.Lock()
	was := h.epoch
	h.epoch = epoch
	h.mu.Unlock()
	if was != "" && was != epoch {
		h.logger.Warn("the log has begun a new epoch; every subscription begins again")
		h.Disrupted(messaging.DisruptionEpoch)
	}
}

// loadEpoch asks for the epoch when the hub starts, so that the acknowledgement of the
// first client has it.
func (h *Hub) loadEpoch(ctx context.Context) {
	for tries := 0; ctx.Err() == nil; {
		extent, err := h.log.Extent(ctx)
		if !h.retry(ctx, err, &tries) {
			h.setEpoch(extent.Epoch)
			return
		}
	}
}

// Epoch returns the log's epoch as of its last answer; empty until the log has answered
// once.
func (h *Hub) Epoch() string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.epoch
}

// all returns the rooms that are open.
func (h *Hub) all() []*room {
	return h.due(time.Time{})
}

// due returns the open rooms whose check is due at now, which then count as
// checked; at the zero time, all open rooms.
func (h *Hub) due(now time.Time) []*room {
	h.mu.RLock()
	rooms := slices.Collect(maps.Values(h.rooms))
	h.mu.RUnlock()
	// Without the hub's lock, because a room's mutex may be held for a while.
	return slices.DeleteFunc(rooms, func(room *room) bool { return !room.due(now, h.cfg) })
}
