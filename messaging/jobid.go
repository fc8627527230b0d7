package messaging

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxJobIDBytes is the maximum length of a jobId.
const MaxJobIDBytes = 256

// jobIDRule is the rule for a jobId, in the words of all refusals.
var jobIDRule = "must be a non-empty string of at most " + strconv.Itoa(MaxJobIDBytes) + " bytes without control characters"

// JobIDError is the error for a jobId that is not allowed.
type JobIDError struct {
	// Code is [CodeJobIDRequired] for an empty jobId, else [CodeJobIDInvalid].
	Code Code
}

// Error returns the rule for a jobId. It does not repeat the jobId, which may be
// long or contain control characters.
func (e *JobIDError) Error() string { return "jobId: " + jobIDRule }

// MessageJobIDNoString is the text of [CodeJobIDInvalid] for a jobId that is not a
// string.
const MessageJobIDNoString = "jobId must be a string."

// TrimJobID removes the white space around the jobId of a client, as JavaScript's
// String.prototype.trim does (ECMA-262, section 22.1.3.32).
func TrimJobID(jobID string) string {
	return strings.TrimFunc(jobID, func(r rune) bool {
		return '\t' <= r && r <= '\r' || r == '\ufeff' || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Zs, r)
	})
}

// ValidateJobID checks that a jobId is not empty, at most [MaxJobIDBytes] long,
// valid UTF-8, and without control characters (Unicode category Cc). Its error
// is always a *[JobIDError]; a retry does not help.
func ValidateJobID(jobID string) error {
	if jobID == "" {
		return &JobIDError{Code: CodeJobIDRequired}
	}
	if len(jobID) > MaxJobIDBytes || !utf8.ValidString(jobID) {
		return &JobIDError{Code: CodeJobIDInvalid}
	}
	for _, r := range jobID {
		if unicode.IsControl(r) {
			return &JobIDError{Code: CodeJobIDInvalid}
		}
	}
	return nil
}
