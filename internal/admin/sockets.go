package admin

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/letswriteabook/realtime/fanout/clients"
	"github.com/letswriteabook/realtime/messaging"
)

// SocketPage is a page of the connected clients of all gateways, by id.
type SocketPage struct {
	Coverage
	Items []clients.Client `json:"items"`
	// Next is the after of the next page; empty on the last one.
	Next string `json:"next,omitempty"`
}

// EndedPage is a page of the clients that have gone from all gateways, the first to go
// first.
type EndedPage struct {
	Coverage
	Items []clients.Ended `json:"items"`
	Next  string          `json:"next,omitempty"`
}

// FollowerPage is a page of the subscriptions to a job at all gateways, by the client's id.
type FollowerPage struct {
	Coverage
	Items []clients.Follower `json:"items"`
	Next  string             `json:"next,omitempty"`
}

// SocketStories is what the gateways have of one client. A client that has reconnected with
// its id has several.
type SocketStories struct {
	Coverage
	Items []clients.Story `json:"items"`
}

// CloseRequest selects whom to disconnect: by exactly one of ID, Subject and JobID.
type CloseRequest struct {
	ID      string `json:"id,omitempty"`
	Subject string `json:"subject,omitempty"`
	JobID   string `json:"jobId,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// CloseResult says how many clients were disconnected.
type CloseResult struct {
	Coverage
	Clients int `json:"clients"`
}

// The bounds of what selects clients.
const (
	maxIDBytes      = 256
	maxSubjectBytes = 1024
	maxReasonBytes  = 512
)

func (a *API) listSockets(ctx context.Context, c *call) (any, error) {
	question, err := c.listQuestion()
	if err != nil {
		return nil, err
	}
	var page SocketPage
	page.Items, page.Next, page.Coverage, err = askPage[clients.Client](ctx, a, clients.QuestionList, question, question.Limit)
	return page, err
}

func (a *API) listFollowers(ctx context.Context, c *call) (any, error) {
	question, err := c.listQuestion()
	if err != nil {
		return nil, err
	}
	var page FollowerPage
	page.Items, page.Next, page.Coverage, err = askPage[clients.Follower](ctx, a, clients.QuestionFollowers, question, question.Limit)
	return page, err
}

func (a *API) listEnded(ctx context.Context, c *call) (any, error) {
	list, err := c.listQuestion()
	if err != nil {
		return nil, err
	}
	question := clients.EndedQuestion{ListQuestion: list}
	if question.Since, err = c.time("since"); err != nil {
		return nil, err
	}
	if question.Until, err = c.time("until"); err != nil {
		return nil, err
	}
	if !question.Since.Before(question.Until) {
		return nil, refuse(http.StatusBadRequest, "invalid", "since is not before until")
	}
	var page EndedPage
	page.Items, page.Next, page.Coverage, err = askPage[clients.Ended](ctx, a, clients.QuestionEnded, question, question.Limit)
	return page, err
}

// askPage asks every process for a page of at most limit rows, and merges their pages.
func askPage[Row interface{ Place() string }](ctx context.Context, a *API, kind string, question any, limit int) (rows []Row, next string, coverage Coverage, err error) {
	pages, coverage, err := askAll[clients.Page[Row]](ctx, a, kind, question)
	if err != nil {
		return nil, "", coverage, err
	}
	rows, next = clients.Merge(pages, limit)
	return rows, next, coverage, nil
}

// listQuestion reads the parameters of a page of clients.
func (c *call) listQuestion() (question clients.ListQuestion, err error) {
	question.After = c.text("after")
	if question.Limit, err = c.limit(); err != nil {
		return question, err
	}
	question.Filter = clients.Filter{JobID: c.text("jobId"), Subject: c.text("subject"), Origin: c.text("origin")}
	if err := checkSelection(question.Filter.JobID, question.Filter.Subject, question.Filter.Origin, question.After); err != nil {
		return question, err
	}
	if text := c.text("address"); text != "" {
		question.Filter.Address, err = networkOf(text)
	}
	return question, err
}

// networkOf reads an address, or a network such as 10.0.0.0/8.
func networkOf(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, refuse(http.StatusBadRequest, "invalid", "address is %.64q: want an IP address, or a network such as 10.0.0.0/8", text)
	}
	address = address.Unmap()
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// checkSelection checks what selects clients; an empty jobID selects none by their job.
func checkSelection(jobID string, others ...string) error {
	if jobID != "" {
		if err := messaging.ValidateJobID(jobID); err != nil {
			return refuse(http.StatusBadRequest, "invalid", "%v", err)
		}
	}
	for _, text := range others {
		if len(text) > maxSubjectBytes {
			return refuse(http.StatusBadRequest, "invalid", "a text of the request has %d bytes, at most %d are possible", len(text), maxSubjectBytes)
		}
	}
	return nil
}

func (a *API) getSocket(ctx context.Context, c *call) (any, error) {
	id := c.text("id")
	if len(id) > maxIDBytes {
		return nil, refuse(http.StatusBadRequest, "invalid", "the id has %d bytes, at most %d are possible", len(id), maxIDBytes)
	}
	found, coverage, err := askAll[[]clients.Story](ctx, a, clients.QuestionStory, clients.StoryQuestion{ID: id})
	if err != nil {
		return nil, err
	}
	stories := SocketStories{Coverage: coverage, Items: []clients.Story{}}
	for _, some := range found {
		stories.Items = append(stories.Items, some...)
	}
	return stories, nil
}

func (a *API) closeSockets(ctx context.Context, c *call) (any, error) {
	var request CloseRequest
	if err := c.body(&request); err != nil {
		return nil, err
	}
	which := clients.Closing{ID: request.ID, Subject: request.Subject, JobID: request.JobID}
	if !which.Valid() {
		return nil, refuse(http.StatusBadRequest, "invalid", "want exactly one of id, subject and jobId")
	}
	if err := checkSelection(which.JobID, which.ID, which.Subject); err != nil {
		return nil, err
	}
	if len(request.Reason) > maxReasonBytes {
		return nil, refuse(http.StatusBadRequest, "invalid", "the reason has %d bytes, at most %d are possible", len(request.Reason), maxReasonBytes)
	}
	return c.audited(ctx, request, func() (any, error) {
		closed, coverage, err := askAll[clients.Closed](ctx, a, clients.QuestionClose, which)
		if err != nil {
			return nil, err
		}
		result := CloseResult{Coverage: coverage}
		for _, some := range closed {
			result.Clients += some.Clients
		}
		return result, nil
	})
}
