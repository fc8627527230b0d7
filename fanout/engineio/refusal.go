package engineio

import (
	"encoding/json"
	"net/http"
)

// refusal is an HTTP error of the protocol.
type refusal struct {
	status  int
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The refusals of the protocol, with the reference implementation's texts.
var (
	refuseTransport = &refusal{http.StatusBadRequest, 0, "Transport unknown"}
	refuseSession   = &refusal{http.StatusBadRequest, 1, "Session ID unknown"}
	refuseMethod    = &refusal{http.StatusBadRequest, 2, "Bad handshake method"}
	refuseRequest   = &refusal{http.StatusBadRequest, 3, "Bad request"}
	refuseForbidden = &refusal{http.StatusForbidden, 4, "Forbidden"}
	refuseProtocol  = &refusal{http.StatusBadRequest, 5, "Unsupported protocol version"}

	refuseTooLarge = &refusal{http.StatusRequestEntityTooLarge, 3, "Payload too large"}
	refuseBusy     = &refusal{http.StatusServiceUnavailable, 3, "Server busy"}
	refuseHeaders  = &refusal{http.StatusRequestHeaderFieldsTooLarge, 3, "Request header fields too large"}
	refuseShutdown = &refusal{http.StatusServiceUnavailable, 3, "Server shutting down"}
)

func (e *refusal) write(w http.ResponseWriter) {
	body, _ := json.Marshal(e) // a number and a string always marshal
	w.Header().Set("Content-Type", "application/json")
	if e == refuseShutdown || e == refuseBusy {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // the client may be gone
}
