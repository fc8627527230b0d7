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

// New returns a client on one connection, with the usual time limits.
func New(conn *nats.Conn) (*Client, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &Client{Conn: conn, Reads: conn, JS: js, ReadTimeout: readTimeout, AckTimeout: ackTimeout, OpenTimeout: openTimeout}, nil
}
