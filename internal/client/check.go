package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// maxCheckedIDs bounds the ids that a check remembers, about 100 bytes each. The report
	// counts the events whose ids are not remembered.
	maxCheckedIDs = 100_000
	// maxCheckSamples bounds the refused messages of one reason that a report shows.
	maxCheckSamples = 5
	// maxSampleBytes bounds what a report shows of one message.
	maxSampleBytes = 200
)

// Check says how [CheckChannel] and [CheckLines] judge messages: as a gateway with
// the same settings does.
type Check struct {
	Catalogue     *messaging.Catalogue
	MaxEventBytes int
	// MaxMessages is the number of messages after which the check ends; 0 means no limit.
	MaxMessages int
}

// CheckReport is what a check found.
type CheckReport struct {
	Messages int `json:"messages"`
	Accepted int `json:"accepted"`
	// WithoutID counts the accepted events without an id, for which there is no receipt.
	WithoutID int `json:"withoutId"`
	// NotCompared counts the accepted events whose ids were not remembered, because the
	// check had 100,000 ids already. A later event with such an id and another body is not
	// found.
	NotCompared int           `json:"notCompared"`
	Refused     []CheckResult `json:"refused"`
}

// CheckResult is what a gateway would dead-letter for one reason.
type CheckResult struct {
	Reason   messaging.Reason `json:"reason"`
	Messages int              `json:"messages"`
	Samples  []CheckSample    `json:"samples"`
}

// CheckSample is one message that would be refused.
type CheckSample struct {
	// Message counts from 1.
	Message int    `json:"message"`
	Detail  string `json:"detail"`
	// Beginning is the first bytes of the message, quoted as in Go.
	Beginning string `json:"beginning"`
}

// checker judges messages one after the other.
type checker struct {
	check  Check
	report CheckReport
	byKind map[messaging.Reason]*CheckResult
	ids    map[[2]string][sha256.Size]byte // body of each job and id
}

func newChecker(check Check) *checker {
	return &checker{check: check, byKind: map[messaging.Reason]*CheckResult{}, ids: map[[2]string][sha256.Size]byte{}}
}

// take judges one message, and reports whether the check goes on.
func (c *checker) take(message []byte) bool {
	c.report.Messages++
	envelope, err := c.check.Catalogue.Decode(message, c.check.MaxEventBytes)
	var rejection *messaging.Rejection
	switch {
	case errors.As(err, &rejection):
		c.refuse(rejection, message)
	case envelope.ID == "":
		c.report.Accepted++
		c.report.WithoutID++
	case c.conflicts(envelope, message):
		c.refuse(&messaging.Rejection{
			Reason: messaging.ReasonIDConflict, Detail: fmt.Sprintf("id: an earlier message of the job has the id %q and another body", envelope.ID),
		}, message)
	default:
		c.report.Accepted++
	}
	return c.check.MaxMessages == 0 || c.report.Messages < c.check.MaxMessages
}

// conflicts reports whether an earlier message had the id with another body.
func (c *checker) conflicts(envelope messaging.Envelope, message []byte) bool {
	key, body := [2]string{envelope.JobID, envelope.ID}, sha256.Sum256(message)
	earlier, known := c.ids[key]
	switch {
	case known:
	case len(c.ids) < maxCheckedIDs:
		c.ids[key] = body
	default:
		c.report.NotCompared++
	}
	return known && earlier != body
}

func (c *checker) refuse(rejection *messaging.Rejection, message []byte) {
	result := c.byKind[rejection.Reason]
	if result == nil {
		result = &CheckResult{Reason: rejection.Reason}
		c.byKind[rejection.Reason] = result
	}
	result.Messages++
	if len(result.Samples) < maxCheckSamples {
		beginning := fmt.Sprintf("%q", message[:min(len(message), maxSampleBytes)])
		result.Samples = append(result.Samples, CheckSample{Message: c.report.Messages, Detail: rejection.Detail, Beginning: beginning})
	}
}

// result returns the report, the reason with most messages first.
func (c *checker) result() CheckReport {
	c.report.Refused = []CheckResult{}
	for _, result := range c.byKind {
		c.report.Refused = append(c.report.Refused, *result)
	}
	slices.SortFunc(c.report.Refused, func(a, b CheckResult) int {
		if a.Messages != b.Messages {
			return b.Messages - a.Messages
		}
		return strings.Compare(string(a.Reason), string(b.Reason))
	})
	return c.report
}

// CheckChannel reads what workers publish in Redis until ctx ends, and reports which
// messages a gateway would refuse. It publishes nothing. It fails with errRedisURL, or if
// Redis does not answer; the report then has the messages that were read before.
func CheckChannel(ctx context.Context, place redisdial.Config, check Check) (CheckReport, error) {
	checker := newChecker(check)
	servers, err := redisdial.New(place, slog.New(slog.DiscardHandler))
	if err != nil {
		return checker.result(), errRedisURL
	}
	defer servers.Close()
	connection := redis.NewClient(servers.Options())
	defer connection.Close()
	events := connection.Subscribe(ctx, messaging.EventsChannel)
	defer events.Close()
	defer context.AfterFunc(ctx, func() { _ = events.Close() })() // ends the read in progress
	if _, err := events.ReceiveTimeout(ctx, subscribeTimeout); err != nil {
		if ctx.Err() != nil {
			return checker.result(), nil
		}
		return checker.result(), fmt.Errorf("subscribe to Redis: %w", err)
	}
	for {
		message, err := events.ReceiveMessage(ctx)
		switch {
		case ctx.Err() != nil:
			return checker.result(), nil
		case err != nil:
			return checker.result(), fmt.Errorf("read from Redis: %w", err)
		case !checker.take([]byte(message.Payload)):
			return checker.result(), nil
		}
	}
}

// subscribeTimeout bounds the wait for Redis to confirm the subscription.
const subscribeTimeout = 10 * time.Second

// CheckLines judges one envelope a line, as [CheckChannel] does.
func CheckLines(ctx context.Context, input io.Reader, check Check) (CheckReport, error) {
	checker := newChecker(check)
	lines := newLineReader(input, check.MaxEventBytes)
	for ctx.Err() == nil {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return checker.result(), nil
		}
		if err != nil {
			return checker.result(), fmt.Errorf("read line %d: %w", checker.report.Messages+1, err)
		}
		if len(line) > 0 && !checker.take(line) {
			break
		}
	}
	return checker.result(), ctx.Err()
}
