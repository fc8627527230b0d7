package jet

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Client holds the connections to one NATS account, and the time limits of requests.
// Its methods may be called concurrently. The connections belong to the caller of [New].
type Client struct {
	Conn *nats.Conn
	// Reads is the connection on which stored messages are read: Conn, or one of its own,
	// so that large answers do not delay what else travels on Conn.
	Reads *nats.Conn
	JS    jetstream.JetStream
	// domain is that of JS; empty for the domain of the server.
	domain string
	// ReadTimeout bounds each request of a read.
	ReadTimeout time.Duration
	// AckTimeout is how long one attempt to publish waits for its acknowledgement.
	AckTimeout time.Duration
	// OpenTimeout is how long opening a stream waits for JetStream to become available.
	OpenTimeout time.Duration
}

// The time limits of [New].
const (
	readTimeout = 5 * time.Second
	ackTimeout  = 2 * time.Second
	openTimeout = 15 * time.Second
)

// New returns a client on one connection, with the usual time limits, of the JetStream in a
// domain; an empty domain is that of the server.
func New(conn *nats.Conn, domain string) (*Client, error) {
	js, err := inDomain(conn, domain)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &Client{Conn: conn, Reads: conn, JS: js, domain: domain, ReadTimeout: readTimeout, AckTimeout: ackTimeout, OpenTimeout: openTimeout}, nil
}

func inDomain(conn *nats.Conn, domain string) (jetstream.JetStream, error) {
	if domain == "" {
		return jetstream.New(conn)
	}
	return jetstream.NewWithDomain(conn, domain)
}

// API returns the subject of a request to the API of JetStream, such as
// "STREAM.INFO.NOVEL_EVENTS".
func (c *Client) API(request string) string { return APISubject(c.domain, request) }

// Key returns where a message for the subject of a bucket, $KV.<bucket>.<key>, is published.
func (c *Client) Key(subject string) string { return KeySubject(c.domain, subject) }

// APISubject is [Client.API] in a domain.
func APISubject(domain, request string) string {
	if domain == "" {
		return jetstream.DefaultAPIPrefix + request
	}
	return "$JS." + domain + ".API." + request
}

// KeySubject is [Client.Key] in a domain. Leaf nodes do not forward $KV.> to another domain;
// the servers of the domain take $JS.<domain>.API.$KV.> for it.
func KeySubject(domain, subject string) string {
	if domain == "" {
		return subject
	}
	return APISubject(domain, subject)
}
