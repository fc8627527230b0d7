package eventstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// Fits reports whether the server and the account would take a log of maxBytes, and
// what stands beside it: it creates an empty stream of that size and removes it again.
// Only that shows all the limits there can be: of the server, of the account, of tiers. With
// tokens, revocations stand beside the log too.
func Fits(ctx context.Context, conn *nats.Conn, domain string, maxBytes int64, replicas int, tokens bool) error {
	wanted := maxBytes + besideLogBytes
	if tokens {
		wanted += layout.RevocationMaxBytes
	}
	err := probe(ctx, conn, domain, jetstream.StreamConfig{MaxBytes: wanted, Replicas: replicas})
	if err != nil {
		return fmt.Errorf("create a stream for the log: %w", explainOpening(conn, maxBytes, err))
	}
	return nil
}

// FitsChange reports whether the servers would give the log other settings, as [Fits] does:
// the stream that it creates has the wanted replicas, age and window, and as many bytes as
// the log would get in addition. It cannot show that a server which is to hold a further
// replica has no room for the bytes that the log has now.
func FitsChange(ctx context.Context, conn *nats.Conn, domain string, before, wanted Settings) error {
	if before.Replicas == wanted.Replicas && before.MaxBytes == wanted.MaxBytes && before.MaxAge == wanted.MaxAge && before.DuplicateWindow == wanted.DuplicateWindow {
		return nil
	}
	return probe(ctx, conn, domain, jetstream.StreamConfig{
		MaxBytes: max(wanted.MaxBytes-before.MaxBytes, 1), MaxAge: wanted.MaxAge, Duplicates: wanted.DuplicateWindow, Replicas: wanted.Replicas,
	})
}

// probe creates an empty stream with settings, and removes it.
func probe(ctx context.Context, conn *nats.Conn, domain string, config jetstream.StreamConfig) error {
	client, err := jet.New(conn, domain)
	if err != nil {
		return err
	}
	name := "NOVEL_PROBE_" + rand.Text()
	config.Name, config.Description = name, "Probes whether the log fits; can be removed."
	config.Subjects, config.Storage = []string{"novel.probe." + name}, jetstream.FileStorage
	_, err = client.JS.CreateStream(ctx, config)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return err
	}
	if err := client.JS.DeleteStream(ctx, name); err != nil {
		return fmt.Errorf("remove stream %s, which probed whether the log fits: %w", name, err)
	}
	return nil
}
