package gateway

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// A client that asks for traces receives each event that has a W3C trace context with one
// more field at the end of its payload, traceparent. Other clients never see the field.

// wantsTraces reports whether a socket asks for traces: with traces in the auth of CONNECT,
// or with the query parameter traces.
func wantsTraces(socket *socketio.Socket, auth json.RawMessage) bool {
	var said struct {
		Traces *bool `json:"traces"`
	}
	if len(auth) <= maxAuthBytes {
		_ = json.Unmarshal(auth, &said) // invalid values are ignored
	}
	if said.Traces != nil {
		return *said.Traces
	}
	return queryWantsTraces(socket.Request().URL)
}

// queryWantsTraces reports whether the query parameter traces is true.
func queryWantsTraces(address *url.URL) bool {
	wanted, err := strconv.ParseBool(address.Query().Get("traces"))
	return err == nil && wanted
}

// withTraceParent returns a payload with the field traceparent at its end. Nothing in a trace
// context needs escaping.
func withTraceParent(payload []byte, traceParent string) []byte {
	const field = `,"traceparent":"`
	longer := make([]byte, 0, len(payload)+len(field)+len(traceParent)+2)
	longer = append(longer, payload[:len(payload)-1]...) // a payload is an object with fields
	longer = append(append(longer, field...), traceParent...)
	return append(longer, `"}`...)
}
