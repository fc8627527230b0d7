package messaging

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxJobIDBytes is the length of the longest jobId.
const MaxJobIDBytes = 256

// jobIDRule says what is allowed, in the words that every refusal uses.
var jobIDRule = "must be a non-empty string of at most " + strconv.Itoa(MaxJobIDBytes) + " bytes without control characters"

// JobIDError is the error of a jobId that the contract does not allow.
type JobIDError struct {
	// Code is [CodeJobIDRequired] for an empty jobId, else [CodeJobIDInvalid].
	Code Code
}

// Error says what is allowed. It does not repeat the jobId, which may be long
// or hold control characters.
func (e *JobIDError) Error() string { return "jobId: " + jobIDRule }

// MessageJobIDNoString is the text of [CodeJobIDInvalid] for a jobId that is no
// string.
const MessageJobIDNoString = "jobId must be a string."

// TrimJobID returns a client's jobId without the white space around it, as
// JavaScript's String.prototype.trim has it (ECMA-262, section 22.1.3.32).
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
