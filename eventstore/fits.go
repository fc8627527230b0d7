package eventstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// Fits reports whether the server and the account would take a log of maxBytes, and
// what stands beside it: it creates an empty stream of that size and removes it again.
// Only that shows all the limits there can be: of the server, of the account, of tiers.
func Fits(ctx context.Context, conn *nats.Conn, maxBytes int64, replicas int) error {
	client, err := jet.New(conn)
	if err != nil {
		return err
	}
	name := "NOVEL_PROBE_" + rand.Text()
	_, err = client.JS.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Description: "Probes whether the log fits; can be removed.", Subjects: []string{"novel.probe." + name},
		Storage: jetstream.FileStorage, MaxBytes: maxBytes + besideLogBytes, Replicas: replicas,
	})
	if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		if err := client.JS.DeleteStream(ctx, name); err != nil {
			return fmt.Errorf("remove stream %s, which probed whether the log fits: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("create a stream for the log: %w", explainOpening(conn, maxBytes, err))
}
