package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

// ErrRefused is returned when the gateway refuses a request with a status that is not
// transient. A retry does not help.
var ErrRefused = errors.New("the gateway refused the request")

// Event is one event of a stream.
type Event struct {
	Name string
	// ID is the position, EPOCH:SEQUENCE; empty for events that are not in the log.
	ID   string
	Data string
}

const (
	// reconnectPause is how long to wait before the next connection, unless the gateway
	// requests another time, with "retry:" or with the header Retry-After of a transient
	// refusal. maxReconnectPause bounds that time.
	reconnectPause    = time.Second
	maxReconnectPause = time.Minute
)

// Follow reads a job's events from the gateway at base, such as
// http://localhost:3001 or https://example.org/rt, and gives each to handle, until ctx
// ends or handle fails. After a break it resumes after the last event that had a position.
// since is the position after which it starts; if it is empty, Follow starts with the newest
// events. token is sent as a bearer token, unless it is empty.
func Follow(ctx context.Context, base, jobID, since, token string, handle func(Event) error) error {
	// The jobId is in the query, because "." and ".." would be removed from a path.
	address, err := url.JoinPath(base, "api/realtime/stream")
	if err != nil {
		return fmt.Errorf("gateway address %q: %w", base, err)
	}
	address += "?jobId=" + url.QueryEscape(jobID)
	for connected := false; ; {
		pause := reconnectPause
		opened, err := follow(ctx, address, token, &since, &pause, handle)
		connected = connected || opened
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
		case !connected, errors.Is(err, ErrRefused), errors.Is(err, errEventTooLong), errors.As(err, new(handleError)):
			return err
		}
		if wait.For(ctx, pause) != nil {
			return nil
		}
	}
}

// handleError marks an error of the caller's own function.
type handleError struct{ error }

func (e handleError) Unwrap() error { return e.error }

// follow reads the events of one connection, and updates since. It sets pause if the gateway
// requests a time. opened reports whether the gateway has opened the stream.
func follow(ctx context.Context, address, token string, since *string, pause *time.Duration, handle func(Event) error) (opened bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if *since != "" {
		request.Header.Set("Last-Event-ID", *since)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		problem := fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
		if !isTransient(response.StatusCode) {
			return false, fmt.Errorf("%w: %w", ErrRefused, problem)
		}
		if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 63); err == nil {
			*pause = boundedPause(seconds, time.Second)
		}
		return false, problem
	}
	events := newEventReader(response.Body, since, pause)
	for {
		event, err := events.next()
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return true, err
		}
		if err := handle(event); err != nil {
			return true, handleError{err}
		}
	}
}

// isTransient reports whether a request that was answered with status may succeed later.
func isTransient(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
