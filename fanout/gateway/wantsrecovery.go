package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/fanout/socketio"
)

// Connection state recovery costs each event one more argument, the offset. The
// JavaScript library takes it off and its handlers ignore what is left over; handlers
// in other languages are given it, and one in Python that has a single parameter is
// not called at all. So a session, and with it the offset, goes to clients that want
// it.

// RecoveryClients says which clients want recovery that do not say so themselves.
type RecoveryClients string

const (
	// RecoveryAuto: those that show by their handshake that they are written in
	// JavaScript. The zero value stands for it.
	RecoveryAuto RecoveryClients = "auto"
	// RecoveryAll: all of them.
	RecoveryAll RecoveryClients = "all"
	// RecoveryAsked: none.
	RecoveryAsked RecoveryClients = "asked"
)

// recoveryHeader, the query parameter recovery, and recovery in the auth of CONNECT
// say what a client wants: true or false.
const recoveryHeader = "X-Realtime-Recovery"

// SocketHeaders are the headers of a handshake, beside the usual ones, that the
// gateway looks at. The configuration of the sockets has to keep them.
var SocketHeaders = []string{"Accept-Language", recoveryHeader, "Sec-Websocket-Extensions", "User-Agent"}

// wantsRecovery decides whether a client gets a session that it can have back, its
// earlier one or a new one. What it says itself counts before all else.
func (g *Gateway) wantsRecovery(socket *socketio.Socket, auth json.RawMessage) bool {
	if g.sessions == nil {
		return false
	}
	var said struct {
		Recovery *bool  `json:"recovery"`
		PID      string `json:"pid"`
	}
	if len(auth) <= maxAuthBytes {
		_ = json.Unmarshal(auth, &said) // what does not fit says nothing
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

// isJavaScript reports whether a handshake was sent by a browser, or by a runtime
// that socket.io-client runs in. There is nothing in it that the library itself
// sends, so the transports give it away.
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
