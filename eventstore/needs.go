package eventstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// BesideStreams returns the names of the streams beside the event stream, those of buckets
// among them. Some exist only once they are needed.
func BesideStreams() []string { return slices.Sorted(maps.Keys(streams.Beside)) }

// besideTexts say what each flaw of a stream beside the event stream is.
var besideTexts = map[Flaw]string{
	FlawSealed:         "it is sealed: nothing can be stored in it",
	FlawSubjects:       "its subjects were changed: nothing can be stored in it",
	FlawMaxMessages:    "it has a limit of messages: at the limit the oldest go, or nothing can be stored",
	FlawPerSubject:     "its limit of messages per subject was changed: it keeps more, or less, than is needed",
	FlawMessageSize:    "it has a limit of a message: larger ones cannot be stored",
	FlawNoAck:          "it does not acknowledge: each write times out",
	FlawMirror:         "it is a mirror, or has sources: it takes messages from elsewhere",
	FlawRetention:      "its retention is not by limits: messages are deleted once they are read",
	FlawDiscard:        "it drops its oldest messages when it is full",
	FlawNoDirect:       "it does not allow direct gets: nothing can be read",
	FlawNotRepublished: "it is not republished: gateways do not see at once what was erased or revoked",
	FlawMemory:         "its kind of storage was changed",
	FlawAge:            "its messages are deleted after a time",
}

// edited is what is wrong with the settings of a stream beside the event stream: its flaws,
// and those of them that no edit undoes.
type edited struct{ flaws, fixed []Flaw }

// editedBeside returns what is wrong with the settings of a stream beside the event stream.
func editedBeside(stream string, c jetstream.StreamConfig) edited {
	need := streams.Beside[stream]
	return edited{flawsOf(c, need), fixedFlaws(c, need)}
}

// editable reports whether an edit undoes some of the flaws.
func (e edited) editable() bool { return len(e.fixed) < len(e.flaws) }

// besideError names the flaws of a stream beside the event stream, and what to do; nil
// without any.
func besideError(stream string, found edited) error {
	if len(found.flaws) == 0 {
		return nil
	}
	var texts, todo []string
	if found.editable() {
		todo = append(todo, "restart a gateway, which restores the settings that can be edited")
	}
	if len(found.fixed) > 0 {
		todo = append(todo, streams.Beside[stream].Sealed)
	}
	do := strings.Join(todo, "; then ")
	for _, flaw := range found.flaws {
		text := besideTexts[flaw]
		if flaw == FlawDiscard && streams.Beside[stream].Discard == jetstream.DiscardOld {
			text = "it refuses new messages when it is full"
		}
		texts = append(texts, text)
	}
	return fmt.Errorf("stream %s was edited: %s: %s", stream, strings.Join(texts, "; "), do)
}

// noteBeside takes in what is wrong with the settings of a stream beside the event stream, and logs once when it
// becomes flawed and once when it is no longer so, or has been removed.
func (l *Log) noteBeside(stream string, now edited) {
	l.besideMu.Lock()
	before := l.beside[stream]
	if delete(l.beside, stream); len(now.flaws) > 0 {
		l.beside[stream] = now
	}
	l.besideMu.Unlock()
	if slices.Equal(before.flaws, now.flaws) {
		return
	}
	for flaw := range besideTexts {
		value := 0.0
		if slices.Contains(now.flaws, flaw) {
			value = 1
		}
		l.metrics.besideFlaws.WithLabelValues(stream, string(flaw)).Set(value)
	}
	if err := besideError(stream, now); err != nil {
		l.logger.Error("a stream beside the events was edited", "stream", stream, "flaws", now.flaws, "error", err)
	} else {
		l.logger.Info("a stream beside the events has no flaw any more", "stream", stream)
	}
}

// FlawedBeside returns nil, or an error that names what is wrong with the settings of the
// streams beside the event stream, as [Log.Guard] has last seen them.
func (l *Log) FlawedBeside() error {
	l.besideMu.Lock()
	defer l.besideMu.Unlock()
	var all error
	for _, stream := range slices.Sorted(maps.Keys(l.beside)) {
		if err := besideError(stream, l.beside[stream]); all == nil {
			all = err
		} else {
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// restoreBeside undoes, as far as a stream can be edited, what somebody has edited in the
// streams beside the event stream while no gateway ran. One that is missing is not made
// here.
func (l *Log) restoreBeside(ctx context.Context) error {
	for _, name := range BesideStreams() {
		stream, err := l.client.JS.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up stream %s: %w", name, err)
		}
		found := stream.CachedInfo()
		if !editedBeside(name, found.Config).editable() {
			continue
		}
		// Whatever cannot be edited stays as it is, and is named by Guard.
		if _, err := streams.Update(ctx, l.client.JS, found, func(c *jetstream.StreamConfig, _ time.Time) { streams.Beside[name].Apply(c) }); err != nil {
			l.logger.Warn("the settings of a stream cannot be restored", "stream", name, "error", err)
		}
	}
	return nil
}
