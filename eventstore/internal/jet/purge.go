package jet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	purgeRequest = "STREAM.PURGE."
	// purgeTimeout bounds one request. The server loads each block of the stream that
	// lies between the first and the last message of the subject.
	purgeTimeout = time.Minute
)

// Purge removes the messages of a subject before a sequence, and returns how many there
// were.
func (c *Client) Purge(ctx context.Context, stream, subject string, before uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	request := struct {
		Subject  string `json:"filter,omitempty"`
		Sequence uint64 `json:"seq,omitempty"`
	}{subject, before}
	payload, err := json.Marshal(request)
	if err != nil {
		return 0, fmt.Errorf("encode request: %w", err)
	}
	response, err := c.Conn.RequestWithContext(ctx, c.API(purgeRequest+stream), payload)
	if err != nil {
		return 0, Unavailable(err)
	}
	var answer struct {
		Error  *jetstream.APIError `json:"error"`
		Purged uint64              `json:"purged"`
	}
	if err := json.Unmarshal(response.Data, &answer); err != nil {
		return 0, fmt.Errorf("read the answer to a purge: %w", err)
	}
	if answer.Error != nil {
		return 0, Unavailable(answer.Error)
	}
	return answer.Purged, nil
}
