package jet

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrUnavailable is returned when a stream cannot be reached or has no leader now. A
	// retry helps once it is back.
	ErrUnavailable = errors.New("log is unavailable")

	// ErrIncomplete is returned by reads whose answer was cut short on the way. A retry
	// helps.
	ErrIncomplete = errors.New("answer of the log is incomplete")

	// ErrRestoring is returned while the log is being restored, or was left half
	// restored by an interruption: what is there is not the log. A retry helps once the
	// restore is complete; an interrupted one has to be repeated, or undone.
	ErrRestoring = errors.New("the log is being restored, or a restore was interrupted: see realtime operations")

	// ErrNoStream is returned when the server has no such stream. A retry helps once a
	// gateway has created it.
	ErrNoStream = errors.New("the server has no log")

	// ErrNotFound is returned by reads when there is no such message.
	ErrNotFound = errors.New("message not found")
)

// Unavailable makes an error that [Passing] reports match [ErrUnavailable], and returns
// any other as it is.
func Unavailable(err error) error {
	if Passing(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// Passing reports whether an error is temporary: no leader, no answer, no connection.
func Passing(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		// A starting cluster also lacks peers for a while, and a stream is offline while
		// every server that has it is away.
		return api.Code == http.StatusServiceUnavailable || HasCode(err, CodeNoPeers, CodeStreamOffline, CodeConsumerOffline)
	}
	for _, target := range []error{
		ErrRestoring, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected,
		nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed,
		jetstream.ErrJetStreamNotEnabled, jetstream.ErrNoStreamResponse,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
