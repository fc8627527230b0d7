package engineio

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
)

// protocolVersion is the only supported value of the query parameter EIO.
const protocolVersion = "4"

// ServeHTTP implements http.Handler for both transports.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.TrimSuffix(r.URL.Path, "/") != strings.TrimSuffix(s.cfg.Path, "/") {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions {
		header.Set("Allow", "GET, POST, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if refused := s.route(w, r); refused != nil {
		s.metrics.refuse(refused.Code)
		refused.write(w)
	}
}

// route checks a request in the order of the reference implementation and serves it, or
// returns why not.
func (s *Server) route(w http.ResponseWriter, r *http.Request) *refusal {
	query := r.URL.Query()
	upgrade := websocket.IsWebSocketUpgrade(r)
	name := query.Get("transport")
	if name != transportPolling && name != transportWebSocket {
		return refuseTransport
	}
	if id := query.Get("sid"); id != "" {
		return s.routeSession(w, r, query, id, upgrade)
	}
	switch {
	case r.Method == http.MethodHead && name == transportPolling && query.Get("EIO") == protocolVersion:
		headPoll(w)
		return nil
	case r.Method != http.MethodGet:
		return refuseMethod
	case upgrade != (name == transportWebSocket):
		return refuseRequest
	case query.Get("EIO") != protocolVersion:
		return refuseProtocol
	case s.cfg.Draining != nil && s.cfg.Draining():
		return refuseShutdown
	case s.cfg.AllowRequest != nil && !s.cfg.AllowRequest(r):
		return refuseForbidden
	case !keepable(r, s.cfg.KeepHeaders):
		return refuseHeaders
	case !upgrade:
		return s.openPolling(w, r)
	}
	session := s.newSession(r)
	refused := s.hijack(w, r, session, stageActive)
	if refused != nil {
		session.endUnstarted()
	}
	return refused
}

func (s *Server) routeSession(w http.ResponseWriter, r *http.Request, query url.Values, id string, upgrade bool) *refusal {
	session := s.find(id)
	if session == nil || !session.owns(r) { // in the same words, so that the answer does not show whether the id exists
		return refuseSession
	}
	if query.Get("EIO") != protocolVersion {
		return refuseProtocol
	}
	if upgrade {
		if r.Method != http.MethodGet || query.Get("transport") != transportWebSocket {
			return refuseRequest
		}
		return s.hijack(w, r, session, stageProbing)
	}
	if query.Get("transport") != transportPolling {
		return refuseRequest
	}
	switch r.Method {
	case http.MethodHead:
		headPoll(w)
		return nil
	case http.MethodGet:
		return session.servePoll(w, r)
	case http.MethodPost:
		return session.servePost(w, r)
	}
	return refuseRequest
}

// headPoll answers a HEAD request for a poll: it opens no session and takes no packet.
func headPoll(w http.ResponseWriter) { w.Header().Set("Content-Type", payloadType) }

// payloadType is the media type of the answers to polls.
const payloadType = "text/plain; charset=UTF-8"

// hijack checks what melody would refuse without a response, and then takes over the
// connection.
func (s *Server) hijack(w http.ResponseWriter, r *http.Request, session *Session, stage uint32) *refusal {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-Websocket-Key"))
	if err != nil || len(key) != 16 || r.Header.Get("Sec-Websocket-Version") != "13" {
		return refuseRequest
	}
	if !s.enter() {
		return refuseShutdown
	}
	if err := s.serveWebSocket(w, r, session, stage); err != nil {
		s.running.Done()
		s.logger.Debug("take over connection", "error", err)
		return refuseRequest
	}
	return nil
}
