package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
	"github.com/letswriteabook/realtime/internal/wait"
)

// A stream that is being restored has a mark in its metadata, no subject of the log,
// and answers no direct reads, so that nobody takes a part of a log for the log, reads
// from it or adds to it. One update of its configuration takes the mark away and gives
// the rest back, once its messages were counted and their checksum compared.
const (
	// besideSuffix ends the name of a stream that is restored beside the one whose
	// place it is to take.
	besideSuffix = "_RESTORING"
	// restoringSubject begins the subjects of a stream that is being restored.
	restoringSubject = "novel.restoring."
)

// marked returns a stream's configuration with the mark, under a name, and without
// what makes it the log.
func marked(config json.RawMessage, name, mark string, direct bool) (json.RawMessage, error) {
	return withConfig(config, func(members map[string]json.RawMessage, metadata map[string]string) error {
		metadata[streams.RestoringKey] = mark
		delete(members, "republish")
		return setMembers(members, map[string]any{
			"name": name, "subjects": []string{restoringSubject + name}, "allow_direct": direct, "max_age": 0,
		})
	})
}

func setMembers(members map[string]json.RawMessage, values map[string]any) error {
	for name, value := range values {
		encoded, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		members[name] = encoded
	}
	return nil
}

// withConfig changes a stream's configuration and its metadata, and leaves the rest of
// it as it is, whatever a later server has added.
func withConfig(config json.RawMessage, change func(members map[string]json.RawMessage, metadata map[string]string) error) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(config, &members); err != nil {
		return nil, fmt.Errorf("%w: the configuration: %w", ErrBadSnapshot, err)
	}
	metadata := map[string]string{}
	if raw := members["metadata"]; raw != nil {
		if err := json.Unmarshal(raw, &metadata); err != nil {
			return nil, fmt.Errorf("%w: the metadata: %w", ErrBadSnapshot, err)
		}
	}
	maps.DeleteFunc(metadata, func(key, _ string) bool { return strings.HasPrefix(key, streams.ServerMetadata) })
	if err := change(members, metadata); err != nil {
		return nil, err
	}
	if err := setMembers(members, map[string]any{"metadata": metadata}); err != nil {
		return nil, err
	}
	changed, err := json.Marshal(members)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return changed, nil
}

// holdRenewal is how often a restore says that it goes on. Gateways wait for an hour after
// it last did.
const holdRenewal = time.Minute

// hold keeps gateways from re-creating the event stream while it is being restored, however
// long that takes, until release is called. Without the identity stream there is no gateway
// to keep from it.
func (a *Archive) hold(ctx context.Context, renewal time.Duration) (release func()) {
	ctx = context.WithoutCancel(ctx) // An interrupted restore still has to remove what it has made.
	say := func(body string) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, _ = a.client.JS.PublishMsg(ctx, &nats.Msg{Subject: layout.HoldSubject, Data: []byte(body)}, jetstream.WithRetryAttempts(0))
	}
	say("restoring")
	end := wait.Every(renewal, func() bool {
		say("restoring")
		return true
	})
	return func() {
		end()
		say("")
	}
}

// Known reports whether a gateway has had the log open in an epoch, so that sequences may
// have been given out in it.
func (a *Archive) Known(ctx context.Context, epoch string) (bool, error) {
	found, err := a.client.Leader(ctx, layout.IdentityStream, jet.Request{Last: layout.IdentitySubject})
	switch {
	case errors.Is(err, jet.ErrNotFound), jet.HasCode(err, jetstream.JSErrCodeStreamNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the identity of the log: %w", err)
	}
	var identity struct {
		Epoch    string   `json:"epoch"`
		Previous []string `json:"previous"`
	}
	if err := json.Unmarshal(found.Body, &identity); err != nil {
		return false, fmt.Errorf("read the identity of the log: %w", err)
	}
	return identity.Epoch == epoch || slices.Contains(identity.Previous, epoch), nil
}
