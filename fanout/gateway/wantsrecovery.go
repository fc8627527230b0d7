package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// Connection state recovery adds one argument, the offset, to each event. The JavaScript
// library removes it, and its handlers ignore extra arguments; handlers in other languages
// receive it, and a handler in Python with a single parameter is not called at all.
// Therefore only clients that want it get a session and the offset.

// RecoveryClients says which clients get recovery if they do not state a preference.
type RecoveryClients string

const (
	// RecoveryAuto: clients whose handshake shows that they are written in JavaScript. The
	// zero value means the same.
	RecoveryAuto RecoveryClients = "auto"
	// RecoveryAll: all clients.
	RecoveryAll RecoveryClients = "all"
	// RecoveryAsked: no clients.
	RecoveryAsked RecoveryClients = "asked"
)

// recoveryHeader, the query parameter recovery, and recovery in the auth of CONNECT state
// what a client wants: true or false.
const recoveryHeader = "X-Realtime-Recovery"

// SocketHeaders are the headers of a handshake, in addition to the usual ones, that the
// gateway reads. The configuration of the sockets must keep them.
var SocketHeaders = []string{"Accept-Language", recoveryHeader, "Sec-Websocket-Extensions", "User-Agent"}

// wantsRecovery decides whether a client gets a session that it can recover, its earlier
// one or a new one. The client's own preference comes first.
func (g *Gateway) wantsRecovery(socket *socketio.Socket, auth json.RawMessage) bool {
	if g.sessions == nil {
		return false
	}
	var said struct {
		Recovery *bool  `json:"recovery"`
		PID      string `json:"pid"`
	}
	if len(auth) <= maxAuthBytes {
		_ = json.Unmarshal(auth, &said) // invalid values are ignored
	}
	if said.Recovery != nil {
		return *said.Recovery
	}
	request := socket.Request()
	for _, text := range []string{request.URL.Query().Get("recovery"), request.Header.Get(recoveryHeader)} {
		if wanted, err := strconv.ParseBool(text); err == nil {
			return wanted
		}
	}
	if said.PID != "" {
		return true // it has recovered a session before
	}
	switch g.policy.RecoveryClients {
	case RecoveryAll:
		return true
	case RecoveryAsked:
		return false
	default:
		return isJavaScript(request.Header)
	}
}

// isJavaScript reports whether a handshake was sent by a browser, or by a runtime for
// socket.io-client. The library itself sends no characteristic header, so the headers of
// its transports are checked.
func isJavaScript(header http.Header) bool {
	agent := header.Get("User-Agent")
	switch {
	case strings.HasPrefix(agent, "Mozilla/"):
		return header.Get("Accept-Language") != "" // which browsers send, and who imitates them seldom does
	case agent == "":
		// The package ws on Node, which offers compression in just these words.
		return header.Get("Sec-Websocket-Extensions") == "permessage-deflate; client_max_window_bits"
	case strings.HasPrefix(agent, "okhttp/"):
		return header.Get("Origin") != "" // React Native on Android; programs in Java send none
	}
	for _, runtime := range []string{"node-XMLHttpRequest", "node", "undici", "Bun/", "Deno/"} {
		if strings.HasPrefix(agent, runtime) {
			return true
		}
	}
	return false
}
