package ingest

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

// The media types of a body.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

// whitespace is what JSON allows around a value.
const whitespace = " \t\r\n"

// ServePublish answers POST /api/realtime/events: it stores what the body holds
// and answers once the log has it. Who may publish is for the caller to decide.
//
// A body of application/json is one envelope, one of application/x-ndjson has an
// envelope on each line; blank lines are passed over. White space around an
// envelope is not part of it. The envelopes of one job are stored in the order
// in which they stand in the body; they share the job's queue with what comes
// from Redis. No receipts are published in Redis for them: this answer is the
// receipt.
//
// # Identity
//
// The id of an envelope is stored once. The header Idempotency-Key, of 1 to
// [messaging.MaxIDBytes] printable ASCII characters and with or without the
// quotes of draft-ietf-httpapi-idempotency-key-header, is the id of a single
// envelope that has none; it is refused beside a different one, and with NDJSON,
// whose lines have ids of their own or none. An envelope without any id is a new
// event each time: its producer knows from the answer whether to repeat it.
//
// # Answers
//
// A single envelope is answered with its receipt, {"id","jobId","sequence",
// "duplicate"}, id only if it has one: 201 when it was stored now, 200 when the
// log had it already. Otherwise the answer is a problem, {"code","message"}:
//
//	400 invalid-json, schema-violation, unsupported-version, unknown-kind
//	400 invalid-idempotency-key, incomplete-body
//	408 slow-body
//	409 id-conflict
//	413 too-large, too-many-lines
//	415 unsupported-media-type
//	503 unavailable, with Retry-After
//
// NDJSON is answered with {"stored","failed","results"}. The results have one
// entry per envelope, in order: {"line","ok":true} with the receipt's fields, or
// {"line","ok":false} with the problem's. Lines are counted from 1, blank ones
// too. The status says whether it helps to send something again: 200 when the
// log has every line; 207 when some were refused, for good; 503 when some were
// not stored in time, whatever became of the others. A body that is refused as a
// whole, by a problem, had nothing stored.
//
// What is refused is not dead-lettered, because the producer has it in hand.
// After unavailable the message tells an event that is not stored from one that
// the log did not confirm in time, which may be.
//
// # Bounds
//
// At most Config.MaxPublishRequests requests with Config.MaxPublishBytes of
// bodies are under way; one more is unavailable at once. Beyond them its events
// take part in Config.MaxPendingEvents and MaxPendingBytes like those from Redis,
// and wait for room, or for [Ingest.Run] to begin. An event that is still not stored
// Config.PublishTimeout after the body was read, or when the client has gone, is
// withdrawn; one that the log has begun by then is answered as unconfirmed a quarter
// of a second later at most, whether the log returns or not.
func (i *Ingest) ServePublish(w http.ResponseWriter, r *http.Request) {
	// Also for a body that is refused unread, which the server reads then; it
	// lifts the deadline at the end of the body. A writer that cannot set
	// deadlines leaves them to its server.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(i.cfg.BodyTimeout))
	answer := i.publish(w, r)
	i.metrics.httpRequests.WithLabelValues(strconv.Itoa(answer.status)).Inc()
	// The server sends it after it has read what is left of a body, for which
	// the time is the one above.
	answer.write(w, 2*i.cfg.BodyTimeout)
}

// publish does what a request asks for.
func (i *Ingest) publish(w http.ResponseWriter, r *http.Request) answer {
	media, refused := mediaType(r.Header)
	if refused != nil {
		return refused.answer()
	}
	key, refused := idempotencyKey(r.Header, media)
	if refused != nil {
		return refused.answer()
	}
	request, entered := i.requests.enter()
	if !entered {
		return problemBusy.answer()
	}
	defer request.leave()
	body, refused := i.readBody(w, r, request)
	if refused != nil {
		return refused.answer()
	}

	ctx, cancel := context.WithTimeout(r.Context(), i.cfg.PublishTimeout)
	defer cancel()
	select {
	case <-i.begun: // a moment after the server of the requests, which are there meanwhile
	case <-ctx.Done():
		return problemBusy.answer()
	}
	if media == mediaJSON {
		envelope := []line{{number: 1, text: bytes.Trim(body, whitespace)}}
		return i.storeLines(ctx, envelope, key)[0].answer()
	}
	lines, refused := splitLines(body, i.cfg.MaxLines)
	if refused != nil {
		return refused.answer()
	}
	return summarise(lines, i.storeLines(ctx, lines, key))
}

// mediaType returns which of the two types a body has.
func mediaType(header http.Header) (string, *problem) {
	// Compressed, it would have to be bounded twice, so it is not understood.
	if coding := header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return "", &problem{status: http.StatusUnsupportedMediaType, Code: codeMediaType, Message: "a Content-Encoding is not supported"}
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || media != mediaJSON && media != mediaNDJSON {
		return "", &problem{
			status: http.StatusUnsupportedMediaType, Code: codeMediaType,
			Message: "Content-Type must be " + mediaJSON + " or " + mediaNDJSON,
		}
	}
	return media, nil
}

// idempotencyKey returns the id that a request carries for its envelope; empty
// without one.
func idempotencyKey(header http.Header, media string) (string, *problem) {
	refuse := func(message string) (string, *problem) {
		return "", &problem{status: http.StatusBadRequest, Code: codeKey, Message: message}
	}
	values := header.Values("Idempotency-Key")
	switch {
	case len(values) == 0:
		return "", nil
	case media != mediaJSON:
		return refuse("Idempotency-Key is for a single envelope: give each line an id of its own")
	case len(values) > 1:
		return refuse("Idempotency-Key must be given once")
	}
	key := values[0]
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(key) < 1 || len(key) > messaging.MaxIDBytes {
		return refuse(fmt.Sprintf("Idempotency-Key must have 1 to %d bytes", messaging.MaxIDBytes))
	}
	for _, c := range []byte(key) {
		// A quote or a backslash would have two spellings, with and without
		// quotes around.
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return refuse("Idempotency-Key must be printable ASCII without quotes and backslashes")
		}
	}
	return key, nil
}
