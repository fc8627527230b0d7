package eventstore

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// cause names why an append was retried: the label of a counter.
type cause string

const (
	causeTimeout      cause = "timeout"
	causeNoResponders cause = "no-responders"
	causeDisconnected cause = "disconnected"
	causeInFlight     cause = "duplicate-in-flight"
	causeFull         cause = "full"
	causeServer       cause = "server"
	causeOther        cause = "other"
)

var causes = []cause{
	causeTimeout, causeNoResponders, causeDisconnected, causeInFlight, causeFull, causeServer, causeOther,
}

// The server's error codes that matter here; the client has no names for them.
const (
	codeAccountExceeded       jetstream.ErrorCode = 10002
	codeNoPeers               jetstream.ErrorCode = 10005
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeNoMessage             jetstream.ErrorCode = 10037
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeExceedsMaximum        jetstream.ErrorCode = 10054
	codeWrongLastSequence     jetstream.ErrorCode = 10164
	codeStoreFailed           jetstream.ErrorCode = 10077
	codeExistsForRestore      jetstream.ErrorCode = 10130
	codeStreamOffline         jetstream.ErrorCode = 10118
	codeConsumerOffline       jetstream.ErrorCode = 10119
	codeInFlight              jetstream.ErrorCode = 10158
	codeBatchDisabled         jetstream.ErrorCode = 10174
	codeBatchIncomplete       jetstream.ErrorCode = 10176
)

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode)
}

func causeOf(err error) cause {
	var api *jetstream.APIError
	switch {
	case hasCode(err, codeInFlight):
		return causeInFlight
	case hasCode(err, codeInsufficientResources, codeStorageExceeded, codeStoreFailed, codeAccountExceeded):
		return causeFull
	case errors.As(err, &api):
		return causeServer
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return causeNoResponders
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return causeTimeout
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionReconnecting):
		return causeDisconnected
	}
	return causeOther
}
