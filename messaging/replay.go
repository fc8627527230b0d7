package messaging

import "strconv"

// Replay is a record of the log that an operator shows to the followers of a job
// once more. It is not stored again, and has no place in the order of that job.
type Replay struct {
	// Record is the record as the log has it.
	Record
	// Room is the job whose followers are shown it; as a rule its own.
	Room string
	// Run is the id of the replay that it belongs to.
	Run string
}

// AppendReplay appends what a client gets of a replay: the payload of
// [Catalogue.AppendPayload], of the room's job and without a sequence, and the mark
//
//	"replay":{"jobId":…,"sequence":…,"epoch":…,"run":…}
//
// which says where the log has the event. The errors are those of AppendPayload.
func (c *Catalogue) AppendReplay(dst []byte, r Replay) ([]byte, error) {
	shown := r.Record
	shown.JobID, shown.Sequence = r.Room, 0
	payload, err := c.AppendPayload(dst, shown)
	if err != nil {
		return dst, err
	}
	payload = append(payload[:len(payload)-1], `,"replay":{"jobId":`...)
	payload = appendText(payload, r.JobID)
	payload = append(payload, `,"sequence":`...)
	payload = strconv.AppendUint(payload, r.Sequence, 10)
	payload = append(payload, `,"epoch":`...)
	payload = appendText(payload, r.Epoch)
	payload = append(payload, `,"run":`...)
	payload = appendText(payload, r.Run)
	return append(payload, "}}"...), nil
}
