package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/work"
)

// route is one path and method, with all that the OpenAPI document says of it.
type route struct {
	method, path, summary string
	// change says that it takes the role operate.
	change bool
	// bounded says that the handler reads the body itself, within bounds of its own on the
	// number, the bytes and the time of its requests.
	bounded bool
	query   []parameter
	// body and answer are values of the types of the request's body and the answer; nil for
	// none, or any JSON.
	body, answer any
	// answers says what each status of success means; nil for 200 alone.
	answers map[int]string
	handle  func(ctx context.Context, c *call) (any, error)
}

// parameter is one of the query.
type parameter struct {
	name, doc string
	required  bool
	number    bool
}

var (
	limitParameter = parameter{name: "limit", doc: "rows of the page, 1 to 500; 100 unless given", number: true}
	jobParameter   = parameter{name: "jobId", doc: "the job", required: true}
)

// errBothEnds refuses a page with two ends.
var errBothEnds = refuse(http.StatusBadRequest, "invalid", "after and before are given")

// table returns every route.
func (a *API) table() []route {
	get := func(path, summary string, answer any, handle func(context.Context, *call) (any, error), query ...parameter) route {
		return route{method: http.MethodGet, path: path, summary: summary, query: query, answer: answer, handle: handle}
	}
	post := func(path, summary string, body, answer any, handle func(context.Context, *call) (any, error)) route {
		return route{method: http.MethodPost, path: path, summary: summary, change: true, body: body, answer: answer, handle: handle}
	}
	publish := post("/events", "Stores one event, as POST /api/realtime/events does, and answers the same.", nil, Receipt{}, a.publish)
	publish.bounded = true // by the intake of events
	publish.answers = map[int]string{http.StatusCreated: "stored", http.StatusOK: "the log had the event already"}
	start := func(path, summary string, body any, handle func(context.Context, *call) (any, error)) route {
		r := post(path, summary+" The answer is the work, which goes on: see /work.", body, lease.Work{}, handle)
		r.answers = map[int]string{http.StatusAccepted: "begun"}
		return r
	}
	return []route{
		get("/openapi.json", "This document.", nil, a.getDocument),
		get("/figures", "The metrics of the process that answers, as far as an overview shows them.", Figures{}, a.getFigures),
		get("/jobs", "The jobs of the log whose jobId begins with a prefix, by jobId.", JobPage{}, a.listJobs,
			parameter{name: "prefix", doc: "beginning of the jobId"}, parameter{name: "after", doc: "next of the page before"}, limitParameter),
		get("/job", "One job: its newest event, and how many clients follow it at all gateways.", Job{}, a.getJob, jobParameter),
		get("/job/events", "Events of a job, oldest first: those after a sequence, or else the newest ones before one.", EventPage{}, a.listEvents,
			jobParameter, parameter{name: "after", doc: "sequence after which the page begins", number: true},
			parameter{name: "before", doc: "sequence before which the page ends; not with after", number: true}, limitParameter),
		get("/job/followers", "The subscriptions to a job at all gateways, by the client's id: where, since when, and how far behind.", FollowerPage{}, a.listFollowers,
			jobParameter, parameter{name: "after", doc: "next of the page before"}, limitParameter),
		get("/job/stages", "What the processes recorded of the last events of a job: when each was received, stored, written to MongoDB, and delivered to how many clients.", StageList{}, a.listStages,
			jobParameter, parameter{name: "id", doc: "the producer's id of one event"}, parameter{name: "sequence", doc: "the sequence of one event", number: true},
			parameter{name: "epoch", doc: "the epoch of the log: leaves out stages that have another one"}, limitParameter),
		get("/sockets", "The connected sockets and event streams of all gateways, by id.", SocketPage{}, a.listSockets,
			parameter{name: "jobId", doc: "a job that the client follows"}, parameter{name: "subject", doc: "the subject of its token"},
			parameter{name: "origin", doc: "the origin of its page, or unknown"}, parameter{name: "address", doc: "its IP address, or a network such as 10.0.0.0/8"},
			parameter{name: "after", doc: "next of the page before"}, limitParameter),
		get("/sockets/ended", "The sockets and event streams that have gone from all gateways, and why, the first to go first. A gateway that no longer has all of that time is missing with the reason cut.", EndedPage{}, a.listEnded,
			parameter{name: "since", doc: "the time from which on the client has gone, such as 2026-01-31T14:03:00Z", required: true},
			parameter{name: "until", doc: "the time before which it has gone", required: true},
			parameter{name: "subject", doc: "the subject of its token"}, parameter{name: "origin", doc: "the origin of its page, or unknown"},
			parameter{name: "address", doc: "its IP address, or a network such as 10.0.0.0/8"},
			parameter{name: "after", doc: "next of the page before"}, limitParameter),
		get("/socket", "One socket or event stream: its subscriptions, its queue, and its last steps. One that has gone is recorded for a while.", SocketStories{}, a.getSocket,
			parameter{name: "id", doc: "the id of the socket or the stream", required: true}),
		post("/sockets/close", "Disconnects one client by its id, or all of a subject, or all that follow a job, at every gateway. Event streams reconnect by themselves; a revocation keeps a client out.",
			CloseRequest{}, CloseResult{}, a.closeSockets),
		get("/letters", "Dead letters, oldest first, without their bytes.", LetterPage{}, a.listLetters,
			parameter{name: "reason", doc: "the reason of the refusal"}, parameter{name: "jobId", doc: "the job that the letter names"},
			parameter{name: "after", doc: "next of the page before", number: true}, limitParameter),
		get("/letter", "One dead letter with its bytes.", Letter{}, a.getLetter, parameter{name: "sequence", doc: "the letter's sequence", required: true, number: true}),
		post("/letters/redrive", "Stores the events of dead letters that are acceptable now, and removes those letters.", LetterRequest{}, RedriveResult{}, a.redrive),
		post("/letters/purge", "Removes dead letters.", LetterRequest{}, PurgeResult{}, a.purge),
		get("/projections", "How far the read models are behind the log.", ProjectionList{}, a.listProjections),
		get("/log", "The streams of the log, their limits, and their consumers.", inspect.Status{}, a.getLog),
		get("/settings", "The effective settings of this process, passwords hidden.", SettingList{}, a.listSettings),
		get("/audit", "Changes that were made over this API, oldest first: those after a number, or the newest ones before one.", AuditPage{}, a.listAudit,
			parameter{name: "after", doc: "number after which the page begins; 0 unless given", number: true},
			parameter{name: "before", doc: "number before which the page ends, 0 for the newest notes; not with after", number: true}, limitParameter),
		get("/revocations", "Tokens, keys and subjects that are revoked, by kind and value.", RevocationPage{}, a.listRevocations,
			parameter{name: "after", doc: "next of the page before"}, limitParameter),
		post("/revocations", "Revokes a token by its jti, a key by its kid, or a subject's tokens issued until now. Sockets and streams that came with them are closed at every gateway, within a second.",
			RevocationRequest{}, revocations.Revocation{}, a.revoke),
		post("/revocations/lift", "Ends a revocation.", RevocationRequest{}, revocations.Revocation{}, a.lift),
		publish,
		get("/work", "The long work of all gateways: what runs, and the newest that has ended.", WorkList{}, a.listWork),
		get("/work/one", "One piece of long work: how far it is, or what came of it.", lease.Work{}, a.getWork, parameter{name: "id", doc: "the id of the work", required: true}),
		post("/work/cancel", "Ends long work, at whichever gateway it runs, within seconds.", CancelRequest{}, lease.Work{}, a.cancelWork),
		get("/operations", "Changes of several steps, of gateways and of commands: those that run, and those that wait to be resumed or undone.", OperationList{}, a.listOperations),
		start("/projections/verify", "Compares a read model, or its shadow, with the log.", work.Verify{}, begin((*work.Runner).Verify)),
		start("/projections/rebuild", "Rebuilds a read model beside live traffic.", work.Rebuild{}, begin((*work.Runner).Rebuild)),
		start("/projections/swap", "Puts a rebuilt read model into its place.", work.Swap{}, begin((*work.Runner).Swap)),
		start("/erasures", "Removes a job for good.", work.Erase{}, begin((*work.Runner).Erase)),
		start("/replays", "Sends events of the log again: to a job's followers, a NATS subject, a Redis channel, a collection or the end of the log.", work.Replay{}, begin((*work.Runner).Replay)),
	}
}

func (a *API) getDocument(context.Context, *call) (any, error) { return a.document, nil }

// success returns the status of an answer without an error.
func (r route) success() int {
	if _, accepted := r.answers[http.StatusAccepted]; accepted {
		return http.StatusAccepted
	}
	return http.StatusOK
}

// readQuery reads the query of a request. It refuses one that is malformed, a parameter that
// the route does not take, or that is given twice, and what is not a number where one is
// needed.
func (r route) readQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "the query cannot be read: %v", err)
	}
	for name, values := range query {
		at := slices.IndexFunc(r.query, func(p parameter) bool { return p.name == name })
		switch {
		case at < 0:
			return nil, refuse(http.StatusBadRequest, "invalid", "%.64q is not a parameter of this route, which takes %s", name, r.parameters())
		case len(values) > 1:
			return nil, refuse(http.StatusBadRequest, "invalid", "the parameter %s is given %d times", name, len(values))
		}
		if _, err := strconv.ParseUint(values[0], 10, 64); r.query[at].number && err != nil {
			return nil, refuse(http.StatusBadRequest, "invalid", "%s is %.64q: want a whole number, 0 or more", name, values[0])
		}
	}
	for _, p := range r.query {
		if p.required && query.Get(p.name) == "" {
			return nil, refuse(http.StatusBadRequest, "invalid", "%s is missing", p.name)
		}
	}
	return query, nil
}

// parameters lists the parameters of a route.
func (r route) parameters() string {
	if len(r.query) == 0 {
		return "none"
	}
	var names []string
	for _, p := range r.query {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// text returns a parameter, empty when it is not given.
func (c *call) text(name string) string { return c.query.Get(name) }

// number returns a parameter that is a number, and whether it is given.
func (c *call) number(name string) (uint64, bool) {
	value, err := strconv.ParseUint(c.text(name), 10, 64)
	return value, err == nil
}

// time returns a parameter that is a time.
func (c *call) time(name string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, c.text(name))
	if err != nil {
		return at, refuse(http.StatusBadRequest, "invalid", "%s is %.64q: want a time such as 2026-01-31T14:03:00Z", name, c.text(name))
	}
	return at, nil
}

// limit returns how many rows the page may have.
func (c *call) limit() (int, error) {
	value, given := c.number("limit")
	switch {
	case !given:
		return defaultRows, nil
	case value < 1 || value > maxRows:
		return 0, refuse(http.StatusBadRequest, "invalid", "limit is %d: want 1 to %d", value, maxRows)
	}
	return int(value), nil
}
