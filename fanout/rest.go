package fanout

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/letswriteabook/realtime/messaging"
)

// maxPage bounds the limit parameter of [Gateway.ServeEvents].
const maxPage = 1000

// ServeEvents answers GET /api/novel/{jobId}/events?limit=&before=&since= with
// {count, items}.
//
// The newest limit items come first; before leaves out those from there on.
// since asks for what follows instead: given as a sequence, the oldest limit
// items after it, oldest first, so that a client can poll page by page; given as
// a time, the newest after it, newest first.
func (g *Gateway) ServeEvents(w http.ResponseWriter, r *http.Request) {
	jobID, ok := g.jobRequest(w, r)
	if !ok {
		return
	}
	query, err := parseEventsQuery(r.URL.Query(), g.policy.CatchUpLimit)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"code": "INVALID_QUERY", "message": err.Error()})
		return
	}
	records, err := g.hub.events(r.Context(), jobID, query)
	if err != nil {
		g.logger.Warn("events cannot be read", "job", jobID, "err", err)
		writeProblem(w, http.StatusServiceUnavailable, messaging.NewProblem(messaging.CodeInternal))
		return
	}
	body := []byte(`{"count":` + strconv.Itoa(len(records)) + `,"items":[`)
	for i, record := range records {
		if i > 0 {
			body = append(body, ',')
		}
		body, err = g.hub.catalogue.AppendItem(body, record)
		if err != nil {
			g.logger.Warn("a record cannot be shown", "job", jobID, "sequence", record.Sequence, "err", err)
			writeProblem(w, http.StatusInternalServerError, messaging.NewProblem(messaging.CodeInternal))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, "]}"...))
}

// events answers a query from the history, without following the job.
func (h *Hub) events(ctx context.Context, jobID string, query eventsQuery) ([]messaging.Record, error) {
	at, err := h.locate(ctx, jobID)
	if err != nil {
		return nil, err
	}
	if query.resumes {
		return h.history.recordsAfter(ctx, at, query.since, query.limit)
	}
	return h.history.walkBack(ctx, at, query)
}

// locate finds where a job is in the log: from its room, or from the log itself.
func (h *Hub) locate(ctx context.Context, jobID string) (place, error) {
	h.mu.RLock()
	room := h.rooms[jobID]
	h.mu.RUnlock()
	if room != nil {
		select {
		case <-room.opened:
			return room.place(), nil
		default:
		}
	}
	extent, err := h.log.Extent(ctx)
	if err != nil {
		return place{}, err
	}
	head, err := h.log.LastSequence(ctx, jobID)
	return place{jobID: jobID, epoch: extent.Epoch, head: head}, err
}

// jobRequest answers the parts that requests about one job share: the origin and
// the jobId. It reports false when it has refused the request.
func (g *Gateway) jobRequest(w http.ResponseWriter, r *http.Request) (string, bool) {
	if !g.allowOrigin(w, r) {
		return "", false
	}
	jobID := r.PathValue("jobId")
	if problem := checkJobID(jobID); problem != nil {
		writeProblem(w, http.StatusBadRequest, *problem)
		return "", false
	}
	return jobID, true
}

// allowOrigin answers a cross-origin request as the Fetch standard's CORS
// protocol asks, for the same origins that may open a socket.
func (g *Gateway) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if decision := g.policy.Origins.Decide(origin); origin != "" && !decision.Allowed() {
		g.refused.WithLabelValues(string(decision.Code)).Inc()
		writeProblem(w, http.StatusForbidden, decision.Problem())
		return false
	}
	if origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	return true
}

// AllowOrigin returns what Access-Control-Allow-Origin has to say to a request,
// if anything: the transport asks it for requests that open a socket.
func (g *Gateway) AllowOrigin(r *http.Request) (allow string, ok bool) {
	origin := r.Header.Get("Origin")
	return origin, origin != "" && g.policy.Origins.Decide(origin).Allowed()
}

func writeProblem(w http.ResponseWriter, status int, problem messaging.Problem) {
	writeJSON(w, status, problem)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
