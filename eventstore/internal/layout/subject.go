package layout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// ErrInvalidJobID is returned when a jobId cannot be a subject: it is empty or longer
// than the contract allows. A retry does not help.
var ErrInvalidJobID = errors.New("invalid jobId")

// The streams and subjects of the log. Operators see them and back them up; they never
// change.
const (
	EventStream      = "NOVEL_EVENTS"
	DeadLetterStream = "NOVEL_DEADLETTER"
	AuditStream      = "NOVEL_AUDIT"
	IdentityStream   = "NOVEL_IDENTITY"
	// sessionBucket is a key-value bucket, and SessionStream the stream that holds it.
	sessionBucket = "NOVEL_SESSIONS"
	SessionStream = "KV_" + sessionBucket
	// SessionPrefix begins the subject of a session's state.
	SessionPrefix = "$KV." + sessionBucket + "."
	// ShareBucket is a key-value bucket.
	ShareBucket = "NOVEL_GATEWAYS"
	ShareStream = "KV_" + ShareBucket
	// OperationBucket is a key-value bucket.
	OperationBucket = "NOVEL_OPERATIONS"
	OperationStream = "KV_" + OperationBucket
	// RevocationStream exists where clients need a token.
	RevocationStream = "NOVEL_REVOCATIONS"

	EventPrefix      = "novel.events."
	LivePrefix       = "novel.live."
	DeadLetterPrefix = "novel.deadletter."
	IdentityPrefix   = "novel.identity."
	AuditPrefix      = "novel.audit."
	RevocationPrefix = "novel.revoke."
	// GatewaysPrefix is for the questions to all gateways, which nothing stores.
	GatewaysPrefix = "novel.gateways."
	// RevokedPrefix is where revocations are republished.
	RevokedPrefix = "novel.revoked."
	ErasurePrefix = AuditPrefix + "erasure."
	// ReplayPrefix and FollowersPrefix begin subjects that gateways subscribe to and no
	// stream stores: records that are shown again, and questions for the number of followers.
	ReplayPrefix    = "novel.replay."
	FollowersPrefix = "novel.followers."
	// ErasedPrefix is where the notes of erasures are republished, without their content.
	ErasedPrefix = "novel.erased."
	// IdentitySubject is the subject, in the identity stream, of the record of the epoch.
	IdentitySubject = IdentityPrefix + "epoch"
	// HoldSubject is the subject, in the identity stream, by which a restore keeps gateways
	// from re-creating the event stream.
	HoldSubject = IdentityPrefix + "restoring"
)

// Archived are the streams of the log in the order in which a backup saves them. The record
// of erasures is last, so that it has every erasure that the others lack.
var Archived = []string{EventStream, DeadLetterStream, AuditStream}

// IdentityHistory is how many records of the identity stream stay, for each subject.
const IdentityHistory = 32

// RevocationMaxBytes bounds the stream of revocations, and with it what a gateway holds of it in
// memory: some tens of thousands. A full stream refuses a revocation.
const RevocationMaxBytes = 16 << 20

// maxTokenBytes keeps a subject well below the 4096 bytes of a NATS control
// line, beyond which a server closes the connection. The longest valid jobId,
// all of it escaped, stays below.
const maxTokenBytes = 1024

// Token returns the subject token of a job, or [ErrInvalidJobID].
func Token(jobID string) (string, error) {
	if err := messaging.ValidateJobID(jobID); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalidJobID, err)
	}
	token := messaging.Token(jobID)
	if token == "" || len(token) > maxTokenBytes {
		return "", fmt.Errorf("%w: token of %d bytes", ErrInvalidJobID, len(token))
	}
	return token, nil
}

// EventSubject returns the subject a job's records are stored under.
func EventSubject(jobID string) (string, error) {
	token, err := Token(jobID)
	if err != nil {
		return "", err
	}
	return EventPrefix + token, nil
}

// JobOf returns the job of a stored record's subject.
func JobOf(subject string) (string, error) {
	token, found := strings.CutPrefix(subject, EventPrefix)
	if !found {
		return "", fmt.Errorf("subject %q is not one of the log", subject)
	}
	jobID, err := messaging.ParseToken(token)
	if err != nil {
		return "", fmt.Errorf("subject %q: %w", subject, err)
	}
	return jobID, nil
}

// LetterReason returns the reason that the letters of a subject have.
func LetterReason(subject string) messaging.Reason {
	reason, err := messaging.ParseToken(strings.TrimPrefix(subject, DeadLetterPrefix))
	if err != nil {
		reason = subject // Somebody else put it there.
	}
	return messaging.Reason(reason)
}
