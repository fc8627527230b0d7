package eventstore

import (
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// The streams and subjects of the log. They are part of what operators see and
// back up; they never change.
const (
	eventStream      = "NOVEL_EVENTS"
	deadLetterStream = "NOVEL_DEADLETTER"

	eventPrefix      = "novel.events."
	livePrefix       = "novel.live."
	deadLetterPrefix = "novel.deadletter."
)

// maxTokenBytes keeps a subject well below the 4096 bytes of a NATS control
// line, beyond which a server closes the connection. The longest valid jobId,
// all of it escaped, stays below.
const maxTokenBytes = 1024

// tokenOf returns the subject token of a job, or [ErrInvalidJobID].
func tokenOf(jobID string) (string, error) {
	if err := messaging.ValidateJobID(jobID); err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalidJobID, err)
	}
	token := messaging.Token(jobID)
	if token == "" || len(token) > maxTokenBytes {
		return "", fmt.Errorf("%w: token of %d bytes", ErrInvalidJobID, len(token))
	}
	return token, nil
}

// eventSubject returns the subject a job's records are stored under.
func eventSubject(jobID string) (string, error) {
	token, err := tokenOf(jobID)
	if err != nil {
		return "", err
	}
	return eventPrefix + token, nil
}

// jobOf returns the job of a stored record's subject.
func jobOf(subject string) (string, error) {
	token, found := strings.CutPrefix(subject, eventPrefix)
	if !found {
		return "", fmt.Errorf("subject %q is not one of the log", subject)
	}
	jobID, err := messaging.ParseToken(token)
	if err != nil {
		return "", fmt.Errorf("subject %q: %w", subject, err)
	}
	return jobID, nil
}
