package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/gateways"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/eventstore/revocations"
	"github.com/letswriteabook/realtime/internal/caller"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations/deadletters"
	"github.com/letswriteabook/realtime/operations/work"
)

// Prefix begins the path of every route.
const Prefix = "/internal/api/v1"

// The bounds of one request.
const (
	// requestTime bounds how long a request works.
	requestTime = 15 * time.Second
	// maxRows bounds the rows of a page, and defaultRows is what a page has unasked.
	maxRows, defaultRows = 500, 100
	// maxAnswerBytes is where a page of rows of any size ends, with the row that reaches it.
	maxAnswerBytes = 2 << 20
	// maxBodyBytes bounds the body of a change. One event may be larger, and is bounded by
	// the intake of events.
	maxBodyBytes = 64 << 10
	// bodyTime bounds how long the body of a change takes to arrive, and maxBodies how many
	// are read at once: their bytes are at most maxBodies*maxBodyBytes. They are read before
	// the request takes one of the maxAtOnce places, so that slow callers hold up none that
	// reads, and no change whose body is there.
	bodyTime  = 10 * time.Second
	maxBodies = 64
	// maxAtOnce bounds the requests that work at once.
	maxAtOnce = 16
	// changesPerSecond and changeBurst bound how fast the audit trail, which is never
	// shortened, can be filled.
	changesPerSecond, changeBurst = 5, 50
)

// Deps are what the API works on.
type Deps struct {
	// Gateway is the name of this process.
	Gateway string
	Log     *maintain.Log
	Trail   *audit.Trail
	// Rules decide which dead letters can be stored now.
	Rules deadletters.Rules
	// Settings returns the effective settings, passwords hidden.
	Settings func() []config.Setting
	// Metrics are those of this process, and Version is that of its build.
	Metrics prometheus.Gatherer
	Version string
	// Publish stores one event over HTTP; nil without the role ingest.
	Publish http.Handler
	// Projections are the names of the read models that run somewhere; none without MongoDB.
	Projections []string
	// Revocations are what is revoked; nil where clients need no token.
	Revocations *revocations.Store
	// Work does what takes longer than a request.
	Work *work.Runner
	// Operations lists the operations of several steps, of gateways and of commands.
	Operations func(ctx context.Context) ([]lease.Operation, error)
	// Ask asks every process of the service a question.
	Ask    func(ctx context.Context, question gateways.Question) (gateways.Answers, error)
	Logger *slog.Logger
}

// API serves the routes.
type API struct {
	Deps
	access  func() Access
	slots   chan struct{}
	bodies  chan struct{}
	changes *rate.Limiter
	routes  []route
	// document is the OpenAPI document.
	document document
	began    time.Time // when the API was made
}

// New returns the API.
func New(deps Deps, access func() Access) (*API, error) {
	a := &API{Deps: deps, access: access, slots: make(chan struct{}, maxAtOnce), bodies: make(chan struct{}, maxBodies), changes: rate.NewLimiter(changesPerSecond, changeBurst), began: time.Now().UTC()}
	a.routes = a.table()
	var err error
	a.document, err = openAPI(a.routes)
	return a, err
}

// document is an answer that is JSON already, and ends a line.
type document []byte

// Register adds every route to a mux.
func (a *API) Register(mux *http.ServeMux) {
	for _, r := range a.routes {
		mux.Handle(r.method+" "+Prefix+r.path, a.serve(r))
	}
}

// problem is an answer that is no success. It is an error of the handlers.
type problem struct {
	status int
	Code   string `json:"code"`
	Detail string `json:"message"`
	// Outcome is what a change had done before it failed.
	Outcome any `json:"outcome,omitempty"`
}

func (p *problem) Error() string { return p.Detail }

func refuse(status int, code, format string, args ...any) *problem {
	return &problem{status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// serve guards a route: the role, the origin, the bounds, the note in the audit trail.
func (a *API) serve(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		answer, err := a.answer(w, r, request)
		if err == nil && answer == nil {
			return // the handler has answered
		}
		status := r.success()
		if err != nil {
			problem := problemOf(err)
			if r.change {
				problem.Outcome = answer
			}
			if problem.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			if problem.status >= http.StatusInternalServerError {
				a.Logger.Warn("a request of an operator failed", "route", r.path, "err", err)
			}
			status, answer = problem.status, problem
		}
		text, ready := answer.(document)
		if !ready {
			if text, err = json.Marshal(answer); err != nil {
				a.Logger.Error("an answer to an operator cannot be encoded", "route", r.path, "err", err)
				http.Error(w, "internal", http.StatusInternalServerError)
				return
			}
			text = append(text, '\n')
		}
		header := w.Header()
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write(text) // a client that has gone needs no answer
	})
}

// problemOf returns the answer for an error, which is the caller's to change.
func problemOf(err error) *problem {
	if refused := workProblem(err); refused != nil {
		return refused
	}
	var known *problem
	switch {
	case errors.As(err, &known):
		shown := *known
		return &shown
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusGatewayTimeout, "timeout", "not done in %s: %v", requestTime, err)
	case errors.Is(err, eventstore.ErrInvalidJobID):
		return refuse(http.StatusBadRequest, "invalid", "%v", err)
	default:
		return refuse(http.StatusServiceUnavailable, "unavailable", "%v", err)
	}
}

// answer does what a request asks for. A nil answer without an error was given by the
// handler itself.
func (a *API) answer(w http.ResponseWriter, r route, request *http.Request) (any, error) {
	access := a.access()
	role, subject := access.role(request)
	switch {
	case role == "" && request.Header.Get("Authorization") != "":
		return nil, refuse(http.StatusUnauthorized, "unauthorized", "the credentials of the request have no role here: want INTERNAL_TOKEN, ADMIN_READ_TOKEN, or a valid token with ADMIN_OPERATE_SCOPE or ADMIN_READ_SCOPE")
	case role == "":
		return nil, refuse(http.StatusUnauthorized, "unauthorized", "a bearer token is needed: INTERNAL_TOKEN to change, ADMIN_READ_TOKEN to read, or a token with ADMIN_OPERATE_SCOPE or ADMIN_READ_SCOPE")
	case r.change && role != RoleOperate:
		return nil, refuse(http.StatusForbidden, "role", "the role %s may not change anything", role)
	case r.change && access.ReadOnly:
		return nil, refuse(http.StatusForbidden, "read-only", "ADMIN_READ_ONLY is set")
	case r.change && caller.OtherOrigin(request):
		return nil, refuse(http.StatusForbidden, "origin", "not for pages of other origins")
	case r.change && !isJSON(request):
		return nil, refuse(http.StatusUnsupportedMediaType, "media-type", "the body has to be application/json")
	}
	query, err := r.readQuery(request.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	c := &call{api: a, w: w, query: query, role: role, subject: subject, action: r.path}
	if !r.bounded {
		if r.change {
			if c.sent, err = a.readBody(w, request); err != nil {
				return nil, err
			}
		}
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		default:
			return nil, refuse(http.StatusTooManyRequests, "busy", "%d requests are being answered", maxAtOnce)
		}
	}
	ctx, cancel := context.WithTimeout(request.Context(), requestTime)
	defer cancel()
	c.request = request.WithContext(ctx)
	if r.change && !a.changes.Allow() {
		return nil, refuse(http.StatusTooManyRequests, "rate", "at most %d changes a second", changesPerSecond)
	}
	return r.handle(ctx, c)
}

// call is one request under way.
type call struct {
	api     *API
	w       http.ResponseWriter
	request *http.Request
	query   url.Values
	// sent is the body of a change, unless its route is bounded by its handler.
	sent    []byte
	role    Role
	subject string
	action  string
}
