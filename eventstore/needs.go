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
)

// need is what the service needs of the settings of a stream or of the stream of a bucket.
// It is applied when the stream is made and when a process starts, and compared with what
// the stream has while the process runs.
type need struct {
	// prefix is what its subjects begin with.
	prefix string
	// perSubject is how many messages of a subject stay; 0 for all.
	perSubject int64
	// messageBytes is the smallest limit of a message that serves; without one every
	// limit does.
	messageBytes int64
	discard      jetstream.DiscardPolicy
	storage      jetstream.StorageType
	// direct says that it is read with direct gets.
	direct    bool
	republish *jetstream.RePublish
	// keeps says that messages must not go with their age.
	keeps bool
	// sealed says what to do when the stream is sealed or a mirror, which no edit undoes.
	sealed string
}

// needOfEvents is the need of the event stream, which has to take events of maxEventBytes.
func needOfEvents(maxEventBytes int) need {
	return need{
		prefix: eventPrefix, discard: jetstream.DiscardNew, messageBytes: int64(maxEventBytes) + headerReserveBytes, direct: true,
		republish: &jetstream.RePublish{Source: eventPrefix + ">", Destination: livePrefix + ">"},
	}
}

// removeIt is what to do about a sealed stream whose content may go.
const removeIt = "remove the stream with the tool that sealed it: a gateway re-creates it within seconds, empty"

// needs are those of the streams beside the event stream.
var needs = map[string]need{
	deadLetterStream: {prefix: deadLetterPrefix, discard: jetstream.DiscardOld, direct: true, sealed: "save its letters (realtime deadletter list), then " + removeIt},
	identityStream:   {prefix: identityPrefix, discard: jetstream.DiscardOld, perSubject: identityHistory, keeps: true, sealed: removeIt},
	sessionStream:    {prefix: sessionPrefix, discard: jetstream.DiscardOld, perSubject: 1, sealed: removeIt},
	shareStream:      {prefix: "$KV." + shareBucket + ".", discard: jetstream.DiscardNew, perSubject: 1, storage: jetstream.MemoryStorage, direct: true, sealed: removeIt},
	operationStream:  {prefix: "$KV." + operationBucket + ".", discard: jetstream.DiscardNew, perSubject: 1, direct: true, keeps: true, sealed: "remove the stream with the tool that sealed it: the next operation re-creates it; what was interrupted has to be repeated"},
	auditStream: {
		prefix: auditPrefix, discard: jetstream.DiscardNew, direct: true, keeps: true,
		republish: &jetstream.RePublish{Source: erasurePrefix + ">", Destination: erasedPrefix + ">", HeadersOnly: true},
		sealed:    "save its notes (realtime audit list), then remove the stream with the tool that sealed it: the next erasure re-creates it",
	},
}

// BesideStreams returns the names of the streams beside the event stream, those of buckets
// among them. Some exist only once they are needed.
func BesideStreams() []string { return slices.Sorted(maps.Keys(needs)) }

// apply gives a stream what is needed, as far as a stream can be edited.
func (n need) apply(c *jetstream.StreamConfig) {
	c.Subjects = []string{n.prefix + ">"}
	c.Storage, c.Retention, c.Discard = n.storage, jetstream.LimitsPolicy, n.discard
	c.MaxMsgs, c.MaxMsgsPerSubject, c.MaxMsgSize, c.NoAck = -1, -1, -1, false
	if n.perSubject > 0 {
		c.MaxMsgsPerSubject = n.perSubject
	}
	c.AllowDirect = c.AllowDirect || n.direct
	if n.republish != nil {
		c.RePublish = n.republish
	}
	if n.keeps {
		c.MaxAge = 0
	}
}

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
	FlawDiscard:        "what it does when it is full was changed",
	FlawNoDirect:       "it does not allow direct gets: nothing can be read",
	FlawNotRepublished: "it is not republished: gateways do not learn at once what was erased",
	FlawMemory:         "its kind of storage was changed",
	FlawAge:            "its messages are deleted after a time",
}

// besideError names the flaws of a stream beside the event stream, and what to do; nil
// without any.
func besideError(stream string, flaws []Flaw) error {
	if len(flaws) == 0 {
		return nil
	}
	var texts []string
	do := "restart a gateway, which restores the settings"
	for _, flaw := range flaws {
		texts = append(texts, besideTexts[flaw])
		if beyondEdits(flaw) {
			do = needs[stream].sealed
		}
	}
	return fmt.Errorf("stream %s was edited: %s: %s", stream, strings.Join(texts, "; "), do)
}

// noteBeside takes in the flaws of a stream beside the event stream, and logs once when it
// becomes flawed and once when it is no longer so, or has been removed.
func (l *Log) noteBeside(stream string, now []Flaw) {
	l.besideMu.Lock()
	before := l.beside[stream]
	if delete(l.beside, stream); len(now) > 0 {
		l.beside[stream] = now
	}
	l.besideMu.Unlock()
	if slices.Equal(before, now) {
		return
	}
	l.metrics.besideFlaws.DeletePartialMatch(map[string]string{"stream": stream})
	for _, flaw := range now {
		l.metrics.besideFlaws.WithLabelValues(stream, string(flaw)).Set(1)
	}
	if err := besideError(stream, now); err != nil {
		l.logger.Error("a stream beside the events was edited", "stream", stream, "flaws", now, "error", err)
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
		stream, err := l.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up stream %s: %w", name, err)
		}
		found := stream.CachedInfo()
		flaws := flawsOf(found.Config, needs[name])
		if len(flaws) == 0 || !slices.ContainsFunc(flaws, func(f Flaw) bool { return !beyondEdits(f) }) {
			continue
		}
		// Whatever cannot be edited stays as it is, and is named by Guard.
		if _, err := updateStream(ctx, l.js, found, func(c *jetstream.StreamConfig, _ time.Time) { needs[name].apply(c) }); err != nil {
			l.logger.Warn("the settings of a stream cannot be restored", "stream", name, "error", err)
		}
	}
	return nil
}

// beyondEdits reports whether no edit undoes a flaw.
func beyondEdits(flaw Flaw) bool {
	return flaw == FlawSealed || flaw == FlawMirror || flaw == FlawMemory
}
