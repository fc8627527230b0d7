package messaging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrReceipt is wrapped by the errors of [ReceiptKey.Decode]: the message is not a
// receipt, or its digest is missing or of another key. A retry does not help; the
// producer ignores the message and publishes its event again.
var ErrReceipt = errors.New("not a valid receipt")

// ErrCanary is returned by [ReceiptKey.Decode] for the message {"canary": …}, which a
// gateway publishes on the receipts channel from time to time to check its permission.
// The message is about no event; producers ignore it.
var ErrCanary = errors.New("a gateway's test message")

// Receipt confirms to a producer that its event is durably in the log. It is
// published as JSON on the receipts channel for each event that has an id.
type Receipt struct {
	ID       string `json:"id"`
	JobID    string `json:"jobId"`
	Sequence uint64 `json:"sequence"`
	// Duplicate is set if the log already had this id: the event is stored once, at
	// Sequence.
	Duplicate bool `json:"duplicate"`
}

// Refusal informs a producer that its event will never be in the log. It is published
// on the receipts channel for an event that came over Redis, is valid, and was refused
// by the log: the log has its id with another body, or accepts no message of its size.
type Refusal struct {
	ID    string
	JobID string
	// Reason is encoded in the form of a code: id-conflict is "ID_CONFLICT".
	Reason Reason
}

// ReceiptKey signs the messages of the receipts channel, and verifies them. The
// empty key does neither: every program that may publish in Redis can then forge a
// receipt.
//
// These are the messages. With the empty key they have no mac.
//
//	{"id":…,"jobId":…,"sequence":…,"duplicate":…,"mac":…}
//	{"id":…,"jobId":…,"error":"ID_CONFLICT","mac":…}
//
// The mac is the HMAC-SHA256 (RFC 2104) in lower-case hexadecimal of five
// netstrings (length in bytes, ":", value, ","): id, jobId, sequence in decimal,
// duplicate as true or false, and error. The netstring of an absent field is empty.
type ReceiptKey string

// receiptMessage has the fields of all messages of the receipts channel.
type receiptMessage struct {
	ID        string  `json:"id"`
	JobID     string  `json:"jobId"`
	Sequence  *uint64 `json:"sequence,omitempty"`
	Duplicate *bool   `json:"duplicate,omitempty"`
	Error     string  `json:"error,omitempty"`
	MAC       string  `json:"mac,omitempty"`
	Canary    string  `json:"canary,omitempty"`
}

// Encode returns the message of a receipt.
func (k ReceiptKey) Encode(r Receipt) ([]byte, error) {
	return k.encode(receiptMessage{ID: r.ID, JobID: r.JobID, Sequence: &r.Sequence, Duplicate: &r.Duplicate})
}

// EncodeRefusal returns the message of a refusal.
func (k ReceiptKey) EncodeRefusal(r Refusal) ([]byte, error) {
	code := strings.ToUpper(strings.ReplaceAll(string(r.Reason), "-", "_"))
	return k.encode(receiptMessage{ID: r.ID, JobID: r.JobID, Error: code})
}

func (k ReceiptKey) encode(m receiptMessage) ([]byte, error) {
	if k != "" {
		m.MAC = k.digest(m)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode a receipt: %w", err)
	}
	return body, nil
}

// Decode decodes a message of the receipts channel: a refusal if the returned
// refusal is not nil, else a receipt. The error wraps [ErrReceipt], or is
// [ErrCanary].
func (k ReceiptKey) Decode(message []byte) (Receipt, *Refusal, error) {
	var m receiptMessage
	if err := json.Unmarshal(message, &m); err != nil {
		return Receipt{}, nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if m.Canary != "" && m.ID == "" {
		return Receipt{}, nil, ErrCanary
	}
	if k != "" && !hmac.Equal([]byte(m.MAC), []byte(k.digest(m))) {
		return Receipt{}, nil, fmt.Errorf("%w: the digest is missing or of another key", ErrReceipt)
	}
	switch {
	case m.ID == "" || m.JobID == "":
		return Receipt{}, nil, fmt.Errorf("%w: id and jobId are required", ErrReceipt)
	case m.Error != "":
		reason := Reason(strings.ToLower(strings.ReplaceAll(m.Error, "_", "-")))
		return Receipt{}, &Refusal{ID: m.ID, JobID: m.JobID, Reason: reason}, nil
	case m.Sequence == nil || *m.Sequence == 0:
		return Receipt{}, nil, fmt.Errorf("%w: sequence is required", ErrReceipt)
	}
	return Receipt{ID: m.ID, JobID: m.JobID, Sequence: *m.Sequence, Duplicate: m.Duplicate != nil && *m.Duplicate}, nil, nil
}

// digest returns the mac of a message.
func (k ReceiptKey) digest(m receiptMessage) string {
	sequence, duplicate := "", ""
	if m.Sequence != nil {
		sequence = strconv.FormatUint(*m.Sequence, 10)
	}
	if m.Duplicate != nil {
		duplicate = strconv.FormatBool(*m.Duplicate)
	}
	sum := hmac.New(sha256.New, []byte(k))
	for _, value := range []string{m.ID, m.JobID, sequence, duplicate, m.Error} {
		_, _ = fmt.Fprintf(sum, "%d:%s,", len(value), value) // a hash returns no error
	}
	return hex.EncodeToString(sum.Sum(nil))
}
