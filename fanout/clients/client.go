package clients

import (
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"github.com/letswriteabook/realtime/fanout/recorder"
)

// The bounds of descriptions.
const (
	// MaxTextBytes is where the origin and the subject of a client are cut.
	MaxTextBytes = 256
	// MaxRows bounds the rows of a page.
	MaxRows = 500
	// maxPageBytes is where a page of one gateway ends, with the row that reaches it.
	maxPageBytes = 256 << 10
	// maxStories bounds the stories of one id: the newest ones of a gateway are returned.
	maxStories = 10
	// maxSubscriptions bounds the subscriptions in the description of one client, and
	// maxFollowsBytes does as JSON. With the steps, one story stays below maxPageBytes.
	maxSubscriptions = 500
	maxFollowsBytes  = 96 << 10
)

// TransportSSE is the transport of an event stream. That of a socket is websocket or polling.
const TransportSSE = "sse"

// Client is one connected client: a Socket.IO socket or an event stream.
type Client struct {
	// ID is the id of the socket that its client has, or a random one of an event stream.
	ID string `json:"id"`
	// Gateway is the name of the process that has the client.
	Gateway   string `json:"gateway"`
	Transport string `json:"transport"`
	// Subject is that of the client's token, empty without one.
	Subject string `json:"subject"`
	// Origin is that of the page, empty for a client without one.
	Origin string `json:"origin"`
	// Address is the client's own, empty if it is not known.
	Address     string    `json:"address"`
	ConnectedAt time.Time `json:"connectedAt"`
	// Subscriptions counts the jobs that the client follows.
	Subscriptions int `json:"subscriptions"`
	// QueuedBytes wait to be sent to the client.
	QueuedBytes int `json:"queuedBytes"`
}

// Bytes is what the description takes in memory.
func (c Client) Bytes() int {
	return int(unsafe.Sizeof(c)) + len(c.ID) + len(c.Gateway) + len(c.Transport) + len(c.Subject) + len(c.Origin) + len(c.Address)
}

// Place is where a client stands in the order of pages.
func (c Client) Place() string { return c.ID + " " + c.Gateway }

// Filter selects clients. A zero field selects every client.
type Filter struct {
	// JobID selects the clients that follow a job.
	JobID   string `json:"jobId,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Origin is that of the page; "unknown" selects the clients without one.
	Origin string `json:"origin,omitempty"`
	// Address selects the clients with addresses in a network.
	Address netip.Prefix `json:"address,omitzero"`
}

// Story is what a gateway has of one client.
type Story struct {
	Client
	// EndedAt is set for a client that has gone, and Reason says why.
	EndedAt *time.Time `json:"endedAt,omitempty"`
	Reason  string     `json:"reason,omitempty"`
	// QueuedEvents counts the packets, or for an event stream the events, that the
	// transport has not taken yet.
	QueuedEvents int `json:"queuedEvents"`
	// Follows are the client's subscriptions, at most 500 of them and 96 KiB.
	Follows []Subscription `json:"follows"`
	// Steps are the last ones of what the client sent and was sent, oldest first. Dropped
	// says how many before them are no longer kept.
	Steps   []recorder.Step `json:"steps"`
	Dropped int             `json:"dropped"`
}

// Ended is a client that has gone.
type Ended struct {
	Client
	EndedAt time.Time `json:"endedAt"`
	Reason  string    `json:"reason"`
}

// Place is where a client that has gone stands in the order of pages: the first to go is
// first.
func (e Ended) Place() string {
	return e.EndedAt.UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + e.Client.Place()
}

// Subscription is a client's place in one job.
type Subscription struct {
	JobID string    `json:"jobId"`
	Since time.Time `json:"since"`
	// State is opening, reading (behind the head) or live.
	State string `json:"state"`
	Epoch string `json:"epoch"`
	// Cursor is the sequence up to which the client was handed every event, and Head that
	// of the job's newest event at the gateway.
	Cursor uint64 `json:"cursor"`
	Head   uint64 `json:"head"`
	// Behind counts the events after the cursor; null where the gateway would have to read
	// the log to count them.
	Behind *int `json:"behind"`
}

// Follower is one subscription to a job, with its client.
type Follower struct {
	Client
	Subscription
}

// Closing selects whom to disconnect: exactly one field is set.
type Closing struct {
	ID      string `json:"id,omitempty"`
	Subject string `json:"subject,omitempty"`
	JobID   string `json:"jobId,omitempty"`
}

// Valid reports whether exactly one field is set.
func (c Closing) Valid() bool {
	set := 0
	for _, value := range []string{c.ID, c.Subject, c.JobID} {
		if value != "" {
			set++
		}
	}
	return set == 1
}

// Text returns a text of a client, cut at MaxTextBytes and valid as UTF-8.
func Text(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxTextBytes)], "�")
}
