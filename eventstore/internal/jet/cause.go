package jet

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cause names why an append was retried: the label of a counter.
type Cause string

const (
	CauseTimeout      Cause = "timeout"
	CauseNoResponders Cause = "no-responders"
	CauseDisconnected Cause = "disconnected"
	CauseInFlight     Cause = "duplicate-in-flight"
	CauseFull         Cause = "full"
	CauseServer       Cause = "server"
	CauseOther        Cause = "other"
)

var Causes = []Cause{
	CauseTimeout, CauseNoResponders, CauseDisconnected, CauseInFlight, CauseFull, CauseServer, CauseOther,
}

// The server's error codes that matter here; the client has no names for them.
const (
	CodeAccountExceeded       jetstream.ErrorCode = 10002
	CodeNoPeers               jetstream.ErrorCode = 10005
	CodeInsufficientResources jetstream.ErrorCode = 10023
	CodeNoMessage             jetstream.ErrorCode = 10037
	CodeStorageExceeded       jetstream.ErrorCode = 10047
	CodeExceedsMaximum        jetstream.ErrorCode = 10054
	CodeWrongLastSequence     jetstream.ErrorCode = 10164
	CodeStoreFailed           jetstream.ErrorCode = 10077
	CodeExistsForRestore      jetstream.ErrorCode = 10130
	CodeStreamOffline         jetstream.ErrorCode = 10118
	CodeConsumerOffline       jetstream.ErrorCode = 10119
	CodeInFlight              jetstream.ErrorCode = 10158
	CodeBatchDisabled         jetstream.ErrorCode = 10174
	CodeBatchIncomplete       jetstream.ErrorCode = 10176
)

func HasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode)
}

func CauseOf(err error) Cause {
	var api *jetstream.APIError
	switch {
	case HasCode(err, CodeInFlight):
		return CauseInFlight
	case HasCode(err, CodeInsufficientResources, CodeStorageExceeded, CodeStoreFailed, CodeAccountExceeded):
		return CauseFull
	case errors.As(err, &api):
		return CauseServer
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return CauseNoResponders
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return CauseTimeout
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		return CauseDisconnected
	}
	return CauseOther
}
