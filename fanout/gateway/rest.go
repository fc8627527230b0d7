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

// ServeEvents answers GET /api/novel/{jobId}/events?limit=&before=&since=, and the same
// of /api/novel/events?jobId=, with
// {items, count, epoch, position}, and "incomplete": true when the page lacks, or may
// lack, items that MongoDB has alone, and that does not answer. position is where to
// go on from with since; gap, the payload of novel.gap, says what cannot be had.
//
// A limit out of its range and unknown parameters are answered with a Warning in the form
// with a path, as that API has done, and are refused in the other one.
//
// The newest limit items come first; before leaves out those from there on.
// since asks for what follows instead: given as a position, the oldest limit
// items after it, oldest first, so that a client can poll page by page; given as
// a time, the newest after it, newest first.
//
// The answer is written while it is read, compressed with gzip where the request
// accepts it and Policy.Compression has it. A client that does not take it is cut off,
// and so is one whose answer fails half-way: its JSON is not complete then.
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
		// Only the path of the API of old takes what that has taken.
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
		panic(http.ErrAbortHandler) // closes the connection; a client must not take half a page for a whole one
	}
	if errors.Is(err, hub.ErrNoMemory) {
		decision := guardrails.Decision{Code: messaging.CodeMaxRequestsExceeded, RetryAfter: hub.MemoryWait}
		g.count(decision, r.Header.Get("Origin"))
		refuseRequest(w, r, decision, "")
		return
	}
	writeProblem(w, http.StatusServiceUnavailable, messaging.NewProblem(messaging.CodeInternal))
}

// besides returns the fields that stand beside the items, each with a comma before it.
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

// jobRequest answers the parts that requests about one job share: the origin, the
// jobId and the token. It reports false when it has refused the request; a token is
// refused with refuse.
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

// requestedJob returns the job that a request is about, from its path or its query. In a
// path the jobId is trimmed, as on a socket. In the query it is not, unless it is blank:
// every jobId that can be published can be read with it. Not so with a path, from which
// browsers remove "." and "..", and in which proxies decode "%2F".
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

// allowOrigin refuses a request of an origin that may not open a socket. A request
// without one may read, whatever a socket needs.
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
