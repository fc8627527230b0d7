package e2e_test

import (
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// journal is everything one subscriber of one job received, over any number of
// connections.
type journal struct {
	jobID     string
	delivered []delivery
}

// delivery is the part of a client payload that tells events apart.
type delivery struct {
	JobID    string `json:"jobId"`
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
}

// since is where the subscriber resumes: nil before its first event.
func (j *journal) since() *uint64 {
	if len(j.delivered) == 0 {
		return nil
	}
	return &j.delivered[len(j.delivered)-1].Sequence
}

// follow takes deliveries from the client until the journal holds n, and
// subscribes again, from where it was, after every reconnection on the way.
func (j *journal) follow(c *client, n int) {
	t := c.driver.t
	t.Helper()
	for len(j.delivered) < n {
		e, found := c.within(patience)
		switch {
		case !found:
			t.Fatalf("client %s: %d of %d events of %s, then none for %s", c.name, len(j.delivered), n, j.jobID, patience)
		case e.Name == "connect" && c.subscribes:
			c.subscribe(j.jobID, j.since())
		case e.Name == messaging.EventGap, e.Name == messaging.EventError:
			t.Fatalf("client %s: %s", c.name, e)
		case carriesRecord(e):
			j.take(c, e)
		}
	}
}

// finish compares the journal with what the log took, after whatever is still
// on its way to the client has arrived.
func (j *journal) finish(c *client, stored []messaging.Receipt) {
	t := c.driver.t
	t.Helper()
	c.do("ping")
	for {
		e := c.next()
		if e.Name == messaging.EventPong {
			break
		}
		if carriesRecord(e) {
			j.take(c, e)
		}
	}
	j.compare(c, stored)
}

// compare fails the test unless the journal is what the log took.
func (j *journal) compare(c *client, stored []messaging.Receipt) {
	t := c.driver.t
	t.Helper()
	for i := range max(len(stored), len(j.delivered)) {
		var want, got delivery
		if i < len(stored) {
			want = delivery{JobID: stored[i].JobID, Sequence: stored[i].Sequence, ID: stored[i].ID}
		}
		if i < len(j.delivered) {
			got = j.delivered[i]
		}
		if got != want {
			t.Fatalf("client %s: event %d of %d is %+v, and in the log %+v", c.name, i+1, len(stored), got, want)
		}
	}
}

// take notes one delivery; sequences must ascend.
func (j *journal) take(c *client, e event) {
	t := c.driver.t
	t.Helper()
	var d delivery
	e.into(t, &d)
	if last := j.since(); last != nil && d.Sequence <= *last {
		t.Errorf("client %s: sequence %d came after %d", c.name, d.Sequence, *last)
	}
	j.delivered = append(j.delivered, d)
}

// carriesRecord tells the events of the catalogue from those of the protocol.
func carriesRecord(e event) bool {
	return strings.HasSuffix(e.Name, "-event") || e.Name == messaging.EventJobStatus
}

// salvage takes what a killed client had received before its end.
func (j *journal) salvage(c *client) {
	c.mu.Lock()
	rest := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, e := range rest {
		if carriesRecord(e) {
			j.take(c, e)
		}
	}
}
