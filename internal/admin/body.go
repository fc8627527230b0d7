package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// readBody reads the body of a change, within its bounds in bytes, time and number.
func (a *API) readBody(w http.ResponseWriter, request *http.Request) ([]byte, error) {
	select {
	case a.bodies <- struct{}{}:
		defer func() { <-a.bodies }()
	default:
		return nil, refuse(http.StatusTooManyRequests, "busy", "the bodies of %d requests are being read", maxBodies)
	}
	// The server clears the deadline at the end of the body. A writer that cannot set one has
	// those of its server.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	text, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBodyBytes))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, refuse(http.StatusRequestEntityTooLarge, "too-large", "the body has more than %d bytes", long.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "slow-body", "the body did not arrive in %s, and nothing was changed", bodyTime)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "incomplete-body", "the body could not be read to its end, and nothing was changed")
	}
	return text, nil
}

// body decodes the body of a change.
func (c *call) body(into any) error {
	decoder := json.NewDecoder(bytes.NewReader(c.sent))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return bodyProblem(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "invalid", "the body has more than one value")
	}
	return nil
}

// bodyProblem returns the refusal of a body that cannot be decoded. It names a field as in
// JSON, and no Go type.
func bodyProblem(err error) *problem {
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return refuse(http.StatusBadRequest, "invalid", "the body is empty: want a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(http.StatusBadRequest, "invalid", "the body ends within a JSON value")
	case errors.As(err, &mistyped) && mistyped.Field != "":
		return refuse(http.StatusBadRequest, "invalid", "%s must not be a JSON %s", mistyped.Field, mistyped.Value)
	case errors.As(err, &mistyped):
		return refuse(http.StatusBadRequest, "invalid", "the body is a JSON %s: want an object", mistyped.Value)
	}
	return refuse(http.StatusBadRequest, "invalid", "read the body: %v", err)
}
