package gateway

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

// ServeEvents answers GET /api/novel/{jobId}/events?limit=&before=&since=, and
// /api/novel/events?jobId= with the same parameters, with {items, count, epoch, position}.
// The answer has "incomplete": true if MongoDB does not answer and the page may lack items
// that only MongoDB has. position is the value of since for the next page; gap, the payload
// of novel.gap, names the part of the history that is gone.
//
// A limit that is out of range or an unknown parameter causes a Warning header in the form
// with the jobId in the path, as in earlier versions of that API, and a refusal in the other
// form.
//
// Without since, the page has the newest limit items, newest first; with before, the newest
// items before it. If since is a position, the page has the oldest limit items after it,
// oldest first, so that a client can poll page by page. If since is a time, the page has the
// newest items after it, newest first.
//
// The answer is written while the events are read. It is compressed with gzip if the request
// accepts that and Policy.Compression allows it. The connection is closed if the client does
// not read the answer, or if reading the events fails after the answer has begun; the JSON is
// then incomplete.
func (g *Gateway) ServeEvents(w http.ResponseWriter, r *http.Request) {
	jobID, grant, ok := g.jobRequest(w, r, refuseRequest)
	if !ok {
		return
	}
	query, err := parseEventsQuery(r.URL.Query(), g.policy.CatchUpLimit)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"code": "INVALID_QUERY", "message": err.Error()})
		return
	}
	if r.PathValue("jobId") == "" && len(query.warnings) > 0 {
		// Only the form with a path accepts what earlier versions accepted.
		writeJSON(w, http.StatusBadRequest, map[string]string{"code": "INVALID_QUERY", "message": query.warnings[0].what})
		return
	}
	query.writeWarnings(w.Header())
	if r.Method == http.MethodHead {
		setPageHeaders(w.Header())
		return
	}
	client := guardrails.Visitor{Address: g.address(r), Subject: grant.Subject}.Owner()
	slot, decision := g.requests.Admit(client, time.Now(), rand.Float64())
	g.count(decision, r.Header.Get("Origin"))
	if !decision.Allowed() {
		refuseRequest(w, r, decision, "")
		return
	}
	defer slot.Release()
	g.answerEvents(w, r, client, jobID, query)
}

// answerEvents writes one page of events.
func (g *Gateway) answerEvents(w http.ResponseWriter, r *http.Request, client, jobID string, query eventsQuery) {
	setPageHeaders(w.Header())
	page := newAnswer(w, r, g.compresses(r, CompressPages, CompressAll), g.catalogue, g.hub.Work)
	defer page.cutOff()()
	found, err := g.hub.List(r.Context(), client, jobID, query.Query, func(record messaging.Record) (bool, error) {
		err := page.add(record)
		if err != nil && !errors.Is(err, errWrite) {
			g.hub.Undeliverable(record, err)
			return false, nil
		}
		return err == nil, err
	})
	if err == nil {
		err = page.finish(found)
	}
	switch {
	case err == nil:
		return
	case errors.Is(err, errWrite):
		g.cutAnswers.Inc()
	case r.Context().Err() == nil:
		g.logger.Warn("events cannot be read", "job", jobID, "err", err)
	}
	if page.started {
		panic(http.ErrAbortHandler) // closes the connection, so that the client does not use an incomplete page
	}
	if errors.Is(err, hub.ErrNoMemory) {
		decision := guardrails.Decision{Code: messaging.CodeMaxRequestsExceeded, RetryAfter: hub.MemoryWait}
		g.count(decision, r.Header.Get("Origin"))
		refuseRequest(w, r, decision, "")
		return
	}
	writeProblem(w, http.StatusServiceUnavailable, messaging.NewProblem(messaging.CodeInternal))
}

// besides returns the fields that follow the items, each with a comma before it.
func besides(found hub.Listed) []byte {
	beside, err := json.Marshal(struct {
		Epoch      string         `json:"epoch,omitempty"`
		Position   string         `json:"position,omitempty"`
		Incomplete bool           `json:"incomplete,omitempty"`
		Gap        *messaging.Gap `json:"gap,omitempty"`
	}{found.Epoch, found.Position(), found.Incomplete, found.Gap})
	if err != nil || len(beside) == len("{}") {
		return nil // strings, numbers and a boolean always marshal
	}
	return append([]byte(","), beside[1:len(beside)-1]...)
}

func setPageHeaders(header http.Header) {
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Add("Vary", "Accept-Encoding")
}

// jobRequest checks what all requests about one job have: the origin, the jobId and the
// token. ok is false if it has refused the request; it refuses a token by calling refuse.
func (g *Gateway) jobRequest(w http.ResponseWriter, r *http.Request, refuse refuser) (jobID string, grant guardrails.Grant, ok bool) {
	if !g.allowOrigin(w, r) {
		return "", grant, false
	}
	jobID = requestedJob(r)
	if problem := checkJobID(jobID); problem != nil {
		writeProblem(w, http.StatusBadRequest, *problem)
		return "", grant, false
	}
	grant, ok = g.allowJob(w, r, jobID, refuse)
	return jobID, grant, ok
}

// requestedJob returns the jobId of a request, from its path or its query. A jobId in the path
// is trimmed, as on a socket. A jobId in the query is not trimmed, so that every jobId that
// can be published can be read; a blank one counts as missing. A path cannot name every
// jobId, because browsers remove "." and ".." from a path, and proxies decode "%2F" in it.
func requestedJob(r *http.Request) string {
	if jobID := r.PathValue("jobId"); jobID != "" {
		return messaging.TrimJobID(jobID)
	}
	jobID := r.URL.Query().Get("jobId")
	if messaging.TrimJobID(jobID) == "" {
		return ""
	}
	return jobID
}

// allowOrigin refuses a request whose origin may not open a socket. A request without an
// origin may read, even if a socket needs an origin.
func (g *Gateway) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	standing := g.shareAnswer(w.Header(), r)
	if standing != guardrails.StandingRefused || r.Header.Get("Origin") == "" {
		return true
	}
	g.countOrigin(standing, r)
	refuseRequest(w, r, guardrails.Decision{Code: messaging.CodeOriginNotAllowed}, "")
	return false
}

func writeProblem(w http.ResponseWriter, status int, problem messaging.Problem) {
	writeJSON(w, status, problem)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
