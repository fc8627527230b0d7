package gateway

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/letswriteabook/realtime/fanout/clients"
	"github.com/letswriteabook/realtime/fanout/hub"
	"github.com/letswriteabook/realtime/guardrails"
)

// Clients implements [clients.Source].
func (g *Gateway) Clients(filter clients.Filter, each func(clients.Client)) {
	for _, c := range g.sockets.list() {
		if selects(filter, c.slot.Origin(), c.subject(), c.address) && (filter.JobID == "" || c.follows(filter.JobID)) {
			each(c.row())
		}
	}
	for _, stream := range g.streams.list() {
		if selects(filter, stream.origin, stream.grant.Subject, stream.address) && (filter.JobID == "" || stream.jobID == filter.JobID) {
			each(stream.row())
		}
	}
}

// Followers implements [clients.Source].
func (g *Gateway) Followers(jobID string, each func(clients.Follower)) {
	for _, c := range g.sockets.list() {
		if subscription, found := c.subscriptionTo(jobID); found {
			each(clients.Follower{Client: c.row(), Subscription: subscription})
		}
	}
	for _, stream := range g.streams.list() {
		if stream.jobID == jobID {
			each(clients.Follower{Client: stream.row(), Subscription: stream.follow()})
		}
	}
}

// Ended implements [clients.Source].
func (g *Gateway) Ended(since, until time.Time, filter clients.Filter, each func(clients.Ended)) (incomplete bool) {
	trails, incomplete := g.policy.Recorder.EndedBetween(since, until)
	for _, trail := range trails {
		at, reason, about := trail.Ended()
		ended := clients.Ended{EndedAt: at.UTC(), Reason: reason}
		ended.Client, _ = about.(clients.Client)
		address, _ := netip.ParseAddr(ended.Address) // none, if it is not known
		if selects(filter, cmp.Or(ended.Origin, guardrails.UnknownOrigin), ended.Subject, address) {
			each(ended)
		}
	}
	return incomplete
}

// Stories implements [clients.Source].
func (g *Gateway) Stories(id string) []clients.Story {
	stories := []clients.Story{}
	for _, trail := range g.policy.Recorder.Ended(id) {
		at, reason, about := trail.Ended()
		story := clients.Story{EndedAt: &at, Reason: reason, Follows: []clients.Subscription{}}
		story.Client, _ = about.(clients.Client)
		story.Steps, story.Dropped = trail.Steps()
		stories = append(stories, story)
	}
	for _, c := range g.sockets.list() {
		if c.socket.ID() == id {
			story := clients.Story{Client: c.row(), QueuedEvents: c.socket.QueuedFrames(), Follows: c.followed()}
			story.Steps, story.Dropped = c.sink.trail.Steps()
			stories = append(stories, story)
		}
	}
	for _, stream := range g.streams.list() {
		if stream.id == id {
			story := clients.Story{Client: stream.row(), Follows: []clients.Subscription{stream.follow()}}
			story.QueuedEvents, _ = stream.sink.queued()
			story.Steps, story.Dropped = stream.sink.trail.Steps()
			stories = append(stories, story)
		}
	}
	return stories
}

// Close implements [clients.Source]. A socket that is closed does not reconnect by itself;
// an event stream does.
func (g *Gateway) Close(which clients.Closing) (closed int) {
	for _, c := range g.sockets.list() {
		switch {
		case which.ID != "" && c.socket.ID() != which.ID, which.Subject != "" && c.subject() != which.Subject, which.JobID != "" && !c.follows(which.JobID):
		case c.dismiss():
			closed++
		}
	}
	for _, stream := range g.streams.list() {
		switch {
		case which.ID != "" && stream.id != which.ID, which.Subject != "" && stream.grant.Subject != which.Subject, which.JobID != "" && stream.jobID != which.JobID:
		case stream.closed.CompareAndSwap(false, true):
			stream.finish(reasonOperator)
			stream.sink.end()
			closed++
		}
	}
	return closed
}

// dismiss disconnects a socket for an operator. If it is disconnected or being closed,
// dismiss does nothing and returns false.
func (c *client) dismiss() bool {
	if !c.closeOnce() {
		return false
	}
	c.finish(reasonOperator)
	c.socket.Disconnect(true)
	return true
}

// selects reports whether a filter selects a client, apart from the jobs it follows. origin
// is the one that the client is counted under.
func selects(filter clients.Filter, origin, subject string, address netip.Addr) bool {
	return (filter.Origin == "" || filter.Origin == origin) && (filter.Subject == "" || filter.Subject == subject) &&
		(!filter.Address.IsValid() || filter.Address.Contains(address))
}

// row describes a socket.
func (c *client) row() clients.Client {
	row := c.describe()
	row.QueuedBytes = c.socket.QueuedBytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	row.Subscriptions = c.subscriptions.count()
	return row
}

// row describes an event stream.
func (s *openStream) row() clients.Client {
	row := s.describe()
	_, row.QueuedBytes = s.sink.queued()
	return row
}

func (c *client) subject() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grant.Subject
}

func (c *client) follows(jobID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subscriptions.get(jobID) != nil
}

// subscriptionTo describes a socket's subscription to a job, if there is one.
func (c *client) subscriptionTo(jobID string) (clients.Subscription, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	followed := c.subscriptions.get(jobID)
	if followed == nil {
		return clients.Subscription{}, false
	}
	return followed.describe(jobID), true
}

// followed describes the subscriptions of a socket.
func (c *client) followed() []clients.Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]clients.Subscription, 0, c.subscriptions.count())
	for jobID, followed := range c.subscriptions.all() {
		all = append(all, followed.describe(jobID))
	}
	return all
}

func (f *follow) describe(jobID string) clients.Subscription {
	subscription := clients.Subscription{JobID: jobID, Since: f.at.UTC()}
	setProgress(&subscription, f.subscription.Progress())
	return subscription
}

// follow describes the subscription of an event stream.
func (s *openStream) follow() clients.Subscription {
	subscription := clients.Subscription{JobID: s.jobID, Since: s.openedAt.UTC(), State: hub.ProgressOpening}
	if followed := s.subscription.Load(); followed != nil {
		setProgress(&subscription, followed.Progress())
	}
	return subscription
}

func setProgress(subscription *clients.Subscription, at hub.Progress) {
	subscription.State, subscription.Epoch, subscription.Cursor, subscription.Head = at.State, at.Cursor.Epoch, at.Cursor.Sequence, at.Head
	if at.Behind >= 0 {
		subscription.Behind = &at.Behind
	}
}
