package ingest

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// Codes of problems that are not a [messaging.Reason].
const (
	codeMediaType   = "unsupported-media-type"
	codeKey         = "invalid-idempotency-key"
	codeIncomplete  = "incomplete-body"
	codeSlowBody    = "slow-body"
	codeTooMany     = "too-many-lines"
	codeUnavailable = "unavailable"
)

// longestRetrySeconds bounds Retry-After, which varies so that producers do not all retry
// in the same second after an outage.
const longestRetrySeconds = 5

// problem says why an envelope or a whole request was not accepted.
type problem struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Problems that a retry may solve.
var (
	problemBusy        = unavailable("the gateway accepts no more events now, nothing is stored: send it again later")
	problemNotStored   = unavailable("not stored, the log is not available: send it again")
	problemUnconfirmed = unavailable("the log did not confirm the event in time, so it may be stored or not: send it again, with the same id if it has one")
)

func unavailable(message string) *problem {
	return &problem{status: http.StatusServiceUnavailable, Code: codeUnavailable, Message: message}
}

// rejected returns the problem of an envelope that can never be accepted.
func rejected(rejection *messaging.Rejection) *problem {
	p := &problem{status: http.StatusBadRequest, Code: string(rejection.Reason), Message: shorten(rejection.Detail)}
	switch rejection.Reason {
	case messaging.ReasonTooLarge:
		p.status = http.StatusRequestEntityTooLarge
	case messaging.ReasonIDConflict:
		p.status = http.StatusConflict
	}
	return p
}

// outcome is the result of one envelope: a receipt or a problem.
type outcome struct {
	receipt *receipt
	problem *problem
}

// receipt is a [messaging.Receipt] that omits an empty id.
type receipt struct {
	ID        string `json:"id,omitempty"`
	JobID     string `json:"jobId"`
	Sequence  uint64 `json:"sequence"`
	Duplicate bool   `json:"duplicate"`
}

// result is the outcome of one line.
type result struct {
	Line int  `json:"line"`
	OK   bool `json:"ok"`
	*receipt
	*problem
}

// summary is the answer to an NDJSON body.
type summary struct {
	// Stored counts the lines that the log has, including duplicates.
	Stored  int      `json:"stored"`
	Failed  int      `json:"failed"`
	Results []result `json:"results"`
}

// answer is the response to a request.
type answer struct {
	status int
	body   any
}

func (p *problem) answer() answer { return answer{status: p.status, body: p} }

// answer is the response to a request with one envelope.
func (o outcome) answer() answer {
	switch {
	case o.problem != nil:
		return o.problem.answer()
	case o.receipt.Duplicate:
		return answer{status: http.StatusOK, body: o.receipt}
	default:
		return answer{status: http.StatusCreated, body: o.receipt}
	}
}

// summarise returns the answer to an NDJSON body.
func summarise(lines []line, outcomes []outcome) answer {
	sum := summary{Results: make([]result, len(lines))}
	status := http.StatusOK
	for n, o := range outcomes {
		sum.Results[n] = result{Line: lines[n].number, OK: o.problem == nil, receipt: o.receipt, problem: o.problem}
		if o.problem == nil {
			sum.Stored++
			continue
		}
		sum.Failed++
		if status == http.StatusOK {
			status = http.StatusMultiStatus
		}
		if o.problem.status == http.StatusServiceUnavailable {
			status = http.StatusServiceUnavailable
		}
	}
	return answer{status: status, body: sum}
}

// write sends the answer within the timeout.
func (a answer) write(w http.ResponseWriter, timeout time.Duration) {
	// The server ends this deadline with the request.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	switch a.status {
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", strconv.Itoa(1+rand.IntN(longestRetrySeconds)))
	case http.StatusUnsupportedMediaType: // RFC 9110, section 15.5.16
		header.Set("Accept", mediaJSON+", "+mediaNDJSON)
		header.Set("Accept-Encoding", "identity")
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // fails only if the client has disconnected
}
