package gateway

import (
	"strings"

	"github.com/letswriteabook/realtime/fanout/clients"
	"github.com/letswriteabook/realtime/fanout/recorder"
	"github.com/letswriteabook/realtime/messaging"
)

// The reasons that operators are shown for the end of a client, beside error codes and the
// reasons of the transport.
const (
	reasonTakenOver   = "continued by another socket of the client"
	reasonOperator    = "closed by an operator"
	reasonStreamEnded = "event stream ended"
)

// begin begins the record of a socket. No other goroutine has the client before that.
func (c *client) begin() { c.sink.trail = c.gateway.policy.Recorder.Begin(c.socket.ID()) }

// finish ends the record of a socket. The first reason counts.
func (c *client) finish(reason string) { end(c.sink.trail, reason, c.describe()) }

// finish ends the record of an event stream. The first reason counts.
func (s *openStream) finish(reason string) { end(s.sink.trail, reason, s.describe()) }

func end(trail *recorder.Trail, reason string, about clients.Client) {
	trail.End(reason, about, about.Bytes())
}

// noteSent records a control message that is sent to a client.
func noteSent(trail *recorder.Trail, name string, payload any) {
	switch sent := payload.(type) {
	case messaging.Subscribed:
		trail.Range(name, sent.JobID, sent.Epoch, "", 0, 0)
	case messaging.Unsubscribed:
		trail.Note(name, sent.JobID, "")
	case messaging.CaughtUp:
		epoch, _, _ := strings.Cut(sent.Position, ":")
		trail.Range(name, sent.JobID, epoch, string(sent.Source), sent.From, sent.To)
	case messaging.Gap:
		trail.Range(name, sent.JobID, sent.Epoch, string(sent.Reason), sent.Requested, sent.FirstAvailable)
	default:
		trail.Note(name, "", "")
	}
}

// describe describes a socket to operators, without its subscriptions and its queue.
func (c *client) describe() clients.Client {
	described := clients.Client{
		ID: c.socket.ID(), Transport: c.socket.Transport(), Origin: clients.Text(c.socket.Header("Origin")), ConnectedAt: c.joinedAt.UTC(),
	}
	if c.address.IsValid() {
		described.Address = c.address.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	described.Subject = clients.Text(c.grant.Subject)
	return described
}

// describe describes an event stream to operators, without its queue.
func (s *openStream) describe() clients.Client {
	described := clients.Client{
		ID: s.id, Transport: clients.TransportSSE, Subject: clients.Text(s.grant.Subject), Origin: clients.Text(s.page),
		ConnectedAt: s.openedAt.UTC(), Subscriptions: 1,
	}
	if s.address.IsValid() {
		described.Address = s.address.String()
	}
	return described
}
