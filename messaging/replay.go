package messaging

import "strconv"

// Replay is a record of the log that an operator sends to the followers of a job once
// more. It is not stored again, and has no position in the order of that job.
type Replay struct {
	// Record is the record as the log has it.
	Record
	// Room is the job whose followers receive the record, usually the record's own.
	Room string
	// Run is the id of the replay to which the record belongs.
	Run string
}

// AppendReplay appends the payload of a replay that clients receive: that of
// [Catalogue.AppendPayload], with the job of the room and without a sequence, and with
// the field
//
//	"replay":{"jobId":…,"sequence":…,"epoch":…,"run":…}
//
// which is the position of the event in the log. The errors are those of AppendPayload.
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
