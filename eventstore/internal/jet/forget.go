package jet

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ForgetConsumer removes a consumer of a stream. A consumer that does not exist is no error.
func (c *Client) ForgetConsumer(ctx context.Context, stream, consumer string) error {
	ctx, cancel := context.WithTimeout(ctx, c.ReadTimeout)
	defer cancel()
	err := c.JS.DeleteConsumer(ctx, stream, consumer)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("remove consumer %q: %w", consumer, Unavailable(err))
	}
	return nil
}
