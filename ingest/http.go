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

// The media types of request bodies.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

// whitespace is what JSON allows around a value.
const whitespace = " \t\r\n"

// ServePublish answers POST /api/realtime/events: it stores the envelopes in the body and
// answers once the log has them. The caller decides who may publish.
//
// A body of application/json is one envelope. A body of application/x-ndjson has an
// envelope on each line; blank lines are skipped. White space around an envelope is not
// part of it. The envelopes of one job are stored in the order of the body, and share the
// job's queue with events from Redis. Their receipts are in the answer and are not
// published in Redis.
//
// # Identity
//
// The id of an envelope is stored once. The header Idempotency-Key, of 1 to
// [messaging.MaxIDBytes] printable ASCII characters, with or without the quotes of
// draft-ietf-httpapi-idempotency-key-header, is the id of a single envelope without one. It
// is refused if it differs from the envelope's id, and with NDJSON, whose lines have ids of
// their own or none. An envelope without any id is a new event each time; its producer
// learns from the answer whether to repeat it.
//
// # Traces
//
// The header traceparent (W3C Trace Context) is the trace context of the envelopes that have
// none of their own.
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
// NDJSON is answered with {"stored","failed","results"}. The results have one entry for
// each envelope, in order: {"line","ok":true} with the receipt's fields, or
// {"line","ok":false} with the problem's. Lines, including blank ones, are counted from 1.
// The status says whether to send something again: 200 if the log has every line; 207 if
// some were refused for good; 503 if some were not stored in time, whatever became of the
// others. Nothing is stored of a body that is refused as a whole by a problem.
//
// Refused events are not dead-lettered, because the producer still has them. The message of
// unavailable distinguishes an event that is not stored from one that the log did not
// confirm in time and may have stored.
//
// # Bounds
//
// At most Config.MaxPublishRequests requests with Config.MaxPublishBytes of bodies are
// under way; a further one is answered unavailable at once. Their events share
// Config.MaxPendingEvents and MaxPendingBytes with those from Redis, and wait for room or
// for [Ingest.Run] to begin. An event that is not stored Config.PublishTimeout after the
// body was read, or when the client has disconnected, is withdrawn. If its append has begun
// by then, it is answered as unconfirmed at most a quarter of a second later, whether the
// append returns or not.
func (i *Ingest) ServePublish(w http.ResponseWriter, r *http.Request) {
	// The deadline also covers a body that is refused unread, because the server then reads
	// it. The server clears the deadline at the end of the body. If the writer cannot set
	// deadlines, those of its server apply.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(i.cfg.BodyTimeout))
	answer := i.publish(w, r)
	i.metrics.httpRequests.WithLabelValues(strconv.Itoa(answer.status)).Inc()
	// The server sends the answer after it has read the rest of the body, for which the
	// deadline above applies.
	answer.write(w, 2*i.cfg.BodyTimeout)
}

// publish executes a request to publish.
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

	traceParent := r.Header.Get("traceparent")
	if !messaging.IsTraceParent(traceParent) {
		traceParent = "" // an event is not refused because of its trace
	}
	ctx, cancel := context.WithTimeout(r.Context(), i.cfg.PublishTimeout)
	defer cancel()
	select {
	case <-i.begun: // requests may arrive shortly before Run begins
	case <-ctx.Done():
		return problemBusy.answer()
	}
	if media == mediaJSON {
		envelope := []line{{number: 1, text: bytes.Trim(body, whitespace)}}
		return i.storeLines(ctx, envelope, key, traceParent)[0].answer()
	}
	lines, refused := splitLines(body, i.cfg.MaxLines)
	if refused != nil {
		return refused.answer()
	}
	return summarise(lines, i.storeLines(ctx, lines, key, traceParent))
}

// mediaType returns the media type of the body.
func mediaType(header http.Header) (string, *problem) {
	// Compressed bodies are not supported: each would need a second bound.
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

// idempotencyKey returns the id that the header gives the envelope; empty without the
// header.
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
		// A quote or a backslash would have two spellings, with and without the surrounding
		// quotes.
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return refuse("Idempotency-Key must be printable ASCII without quotes and backslashes")
		}
	}
	return key, nil
}
