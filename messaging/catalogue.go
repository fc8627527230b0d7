package messaging

import "time"

// Catalogue says which kinds of events there are.
type Catalogue struct{}

// DefaultCatalogue returns the contract's three kinds.
func DefaultCatalogue() *Catalogue { return &Catalogue{} }

// Decode reads and validates one envelope of at most maxBytes.
func (c *Catalogue) Decode(raw []byte, maxBytes int) (Envelope, error) { return Envelope{}, nil }

// Record returns the log record of a decoded envelope; now stamps emittedAt where it is absent.
func (e Envelope) Record(now time.Time) Record { return Record{} }

// SocketEvent returns the Socket.IO event name of a kind.
func (c *Catalogue) SocketEvent(kind Kind) (string, bool) { return "", false }

// AppendPayload appends the client payload of a record to dst.
func (c *Catalogue) AppendPayload(dst []byte, r Record) ([]byte, error) { return dst, nil }

// AppendItem appends the REST item of a record to dst.
func (c *Catalogue) AppendItem(dst []byte, r Record) ([]byte, error) { return dst, nil }

// ValidateJobID checks a jobId against the contract.
func ValidateJobID(jobID string) error { return nil }

// Token makes a jobId safe as one token of a NATS subject.
func Token(jobID string) string { return jobID }

// ParseToken reverses [Token].
func ParseToken(token string) (string, error) { return token, nil }
