package messaging

// Receipt tells a producer that its event is durably in the log. It is
// published on the receipts channel as JSON for each event that carries an id.
type Receipt struct {
	ID       string `json:"id"`
	JobID    string `json:"jobId"`
	Sequence uint64 `json:"sequence"`
	// Duplicate says that the log already had this id: the event was stored
	// once, at Sequence.
	Duplicate bool `json:"duplicate"`
}
