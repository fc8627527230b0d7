package publisher_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/publisher"
)

// A worker that loses nothing: it publishes without waiting, and is told what was
// refused.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
	defer client.Close()
	cfg := publisher.DefaultConfig()
	cfg.Dir = "/var/lib/worker/outbox" // survives a crash of the worker
	cfg.OnRejected = func(id, jobID string, err error) { slog.Error("event refused", "job", jobID, "id", id, "err", err) }
	outbox, err := publisher.New(client, cfg, nil)
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- outbox.Run(ctx) }()

	running, err := messaging.NewJobStatus("job-42", "running", nil)
	if err != nil {
		panic(err)
	}
	pending, err := outbox.Publish(ctx, running)
	if err != nil {
		panic(err) // it breaks the contract, or the outbox was full until ctx ended
	}
	receipt, err := pending.Wait(ctx) // for those who need to know
	fmt.Println(receipt.Sequence, err)

	stop() // what waits is sent for up to DrainTimeout, and is in the journal after that
	fmt.Println(<-ended)
}
