package eventstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// A stream that is being restored has a mark in its metadata, no subject of the log,
// and answers no direct reads, so that nobody takes a part of a log for the log, reads
// from it or adds to it. One update of its configuration takes the mark away and gives
// the rest back, once its messages were counted and their checksum compared.
const (
	// restoringKey is the key of the mark; its value says since when and for how many
	// messages.
	restoringKey = "novel.restoring"
	// besideSuffix ends the name of a stream that is restored beside the one whose
	// place it is to take.
	besideSuffix = "_RESTORING"
	// restoringSubject begins the subjects of a stream that is being restored.
	restoringSubject = "novel.restoring."
)

// beingRestored returns [ErrRestoring] for a stream with the mark.
func beingRestored(info *jetstream.StreamInfo) error {
	if mark, marked := info.Config.Metadata[restoringKey]; marked {
		return fmt.Errorf("%w (stream %s: %s)", ErrRestoring, info.Config.Name, mark)
	}
	return nil
}

// restoreWaits returns [ErrRestoring] when a stream of the log is missing because a
// restore has removed it, and has not put its own in its place yet: another one must
// not be made meanwhile.
func restoreWaits(ctx context.Context, js jetstream.JetStream, stream string) error {
	if !isLogStream(stream) {
		return nil
	}
	all, _, _, err := (&Operations{js: js}).read(ctx)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(all, func(o Operation) bool { return o.Target == WholeLog }); i >= 0 {
		return fmt.Errorf("%w (%s)", ErrRestoring, all[i].holder())
	}
	return nil
}

// marked returns a stream's configuration with the mark, under a name, and without
// what makes it the log.
func marked(config json.RawMessage, name, mark string, direct bool) (json.RawMessage, error) {
	return withConfig(config, func(members map[string]json.RawMessage, metadata map[string]string) error {
		metadata[restoringKey] = mark
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
	maps.DeleteFunc(metadata, func(key, _ string) bool { return strings.HasPrefix(key, serverMetadataPrefix) })
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
