package publisher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/messaging"
)

const (
	// maxRequests bounds the requests in flight.
	maxRequests = 16
	// requestTimeout bounds one request; a gateway answers within ten seconds.
	requestTimeout = 15 * time.Second
	// maxRetryAfter is the longest Retry-After that is respected, whether a gateway
	// or a proxy in front of it sent it.
	maxRetryAfter = time.Minute
	// maxAnswerBytes bounds the bytes that are read of an answer.
	maxAnswerBytes = 64 << 10
)

// refusals are the codes with which a gateway refuses an event for good. Every other
// answer is a failed attempt.
var refusals = []messaging.Reason{
	messaging.ReasonInvalidJSON, messaging.ReasonSchemaViolation, messaging.ReasonUnsupportedVersion,
	messaging.ReasonUnknownKind, messaging.ReasonTooLarge, messaging.ReasonIDConflict,
}

// fallback sends events over HTTP, with POST /api/realtime/events.
type fallback struct {
	client *http.Client
	url    string
	token  string
	places chan struct{} // has one value for each request in flight
}

func newFallback(cfg Config) *fallback {
	return &fallback{
		client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: maxRequests, IdleConnTimeout: time.Minute}},
		url:    strings.TrimRight(cfg.URL, "/") + "/api/realtime/events", token: cfg.Token,
		places: make(chan struct{}, maxRequests),
	}
}

// post starts to send one event over HTTP. It reports false if [maxRequests] are in
// flight.
func (p *Publisher) post(ctx context.Context, e *entry) bool {
	select {
	case p.http.places <- struct{}{}:
	default:
		return false
	}
	p.requests.Go(func() { // ends with ctx, or with its answer
		defer func() { <-p.http.places }()
		p.metrics.attempts.WithLabelValues(viaHTTP).Inc()
		e.sent(time.Now())
		receipt, wait, err := p.http.send(ctx, e.body)
		var refusal *messaging.Rejection
		switch {
		case err == nil && (receipt.ID != e.id || receipt.JobID != e.jobID):
			p.later(e, 0) // the answer is not that of a gateway
			p.stir()
		case err == nil:
			p.confirmed(receipt, viaHTTP)
		case errors.As(err, &refusal):
			p.refused(e.key(), string(refusal.Reason), err)
		default:
			p.later(e, wait)
			p.stir()
		}
	})
	return true
}

// send makes one request. wait is the Retry-After of the answer.
func (f *fallback) send(ctx context.Context, body []byte) (receipt messaging.Receipt, wait time.Duration, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return receipt, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if f.token != "" {
		request.Header.Set("Authorization", "Bearer "+f.token)
	}
	response, err := f.client.Do(request)
	if err != nil {
		return receipt, 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return receipt, 0, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusCreated:
		return receipt, 0, json.Unmarshal(answer, &receipt)
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge:
		var problem struct {
			Code    messaging.Reason
			Message string
		}
		if json.Unmarshal(answer, &problem) == nil && slices.Contains(refusals, problem.Code) {
			return receipt, 0, &messaging.Rejection{Reason: problem.Code, Detail: problem.Message}
		}
	}
	return receipt, retryAfter(response.Header), fmt.Errorf("gateway answers %s", response.Status)
}

// retryAfter parses a Retry-After header in seconds. Other forms count as absent.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 32)
	if err != nil {
		if errors.Is(err, strconv.ErrRange) {
			return maxRetryAfter
		}
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}
