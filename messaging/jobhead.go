package messaging

import "encoding/json"

// JobHead is the last known status of a job.
type JobHead struct {
	JobID  string
	Status string
	// Snapshot is a JSON value, or nil if there is none.
	Snapshot json.RawMessage
	// EmittedAt is the time of the status according to its writer, in [TimeLayout], or the
	// time of the read if the worker's aggregate has none.
	EmittedAt string
}
