package eventstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/eventstore/internal/streams"
)

// Flaw is a setting of a stream with which the service cannot keep its promises: somebody
// has edited the stream. It is the label of a metric.
type Flaw string

// The flaws. FlawAge is none of the event stream, whose age its users choose.
const (
	FlawSealed         Flaw = "sealed"
	FlawSubjects       Flaw = "subjects"
	FlawMaxMessages    Flaw = "max-messages"
	FlawPerSubject     Flaw = "max-messages-per-subject"
	FlawMessageSize    Flaw = "max-message-size"
	FlawNoAck          Flaw = "no-ack"
	FlawMirror         Flaw = "mirror"
	FlawRetention      Flaw = "retention"
	FlawDiscard        Flaw = "discard"
	FlawNoDirect       Flaw = "no-direct-get"
	FlawNotRepublished Flaw = "no-republish"
	FlawMemory         Flaw = "memory"
	FlawAge            Flaw = "max-age"
)

// flawTexts say what each flaw of the event stream does.
var flawTexts = map[Flaw]string{
	FlawSealed:         "it is sealed: nothing can be published",
	FlawSubjects:       "its subjects are not novel.events.>: nothing can be published",
	FlawMaxMessages:    "it has a limit of messages: at the limit nothing can be published",
	FlawPerSubject:     "it has a limit of messages per subject: older events of each job are deleted",
	FlawMessageSize:    "its limit of a message is below MAX_EVENT_BYTES: good events become dead letters",
	FlawNoAck:          "it does not acknowledge: each publish times out",
	FlawMirror:         "it is a mirror, or has sources: it takes events from elsewhere",
	FlawRetention:      "its retention is not by limits: events are deleted once they are read",
	FlawDiscard:        "it drops its oldest events when it is full",
	FlawNoDirect:       "it does not allow direct gets: nothing can be read",
	FlawNotRepublished: "it is not republished: nothing is delivered live",
	FlawMemory:         "it is kept in memory",
}

// flawsRemedy says what to do about flaws.
const flawsRemedy = "restart a gateway, which restores the settings; one that is sealed, a mirror, a work queue or in memory has to be backed up and restored"

// Flaws returns every flaw that the event stream can have.
func Flaws() []Flaw {
	var all []Flaw
	for flaw := range flawTexts {
		all = append(all, flaw)
	}
	slices.Sort(all)
	return all
}

// Text says what the flaw does to the event stream.
func (f Flaw) Text() string { return flawTexts[f] }

// flawsOf returns the flaws of the configuration of a stream.
func flawsOf(c jetstream.StreamConfig, needed streams.Need) []Flaw {
	var flaws []Flaw
	add := func(is bool, flaw Flaw) {
		if is {
			flaws = append(flaws, flaw)
		}
	}
	add(c.Sealed, FlawSealed)
	add(!slices.Contains(c.Subjects, needed.Prefix+">"), FlawSubjects)
	add(c.MaxMsgs > 0, FlawMaxMessages)
	add(max(c.MaxMsgsPerSubject, 0) != needed.PerSubject, FlawPerSubject)
	add(c.MaxMsgSize > 0 && int64(c.MaxMsgSize) < needed.MessageBytes, FlawMessageSize)
	add(c.NoAck, FlawNoAck)
	add(c.Mirror != nil || len(c.Sources) > 0, FlawMirror)
	add(c.Retention != jetstream.LimitsPolicy, FlawRetention)
	add(c.Discard != needed.Discard, FlawDiscard)
	add(needed.Direct && !c.AllowDirect, FlawNoDirect)
	add(needed.Republish != nil && !sameRepublish(c.RePublish, needed.Republish), FlawNotRepublished)
	add(c.Storage != needed.Storage, FlawMemory)
	add(needed.Keeps && c.MaxAge > 0, FlawAge)
	return flaws
}

// fixedFlaws returns those of the flaws of a stream that no edit undoes.
func fixedFlaws(c jetstream.StreamConfig, needed streams.Need) []Flaw {
	wanted := c
	needed.Apply(&wanted)
	return flawsOf(streams.Edited(c, wanted), needed)
}

// sameRepublish reports whether a stream is republished where it has to be.
func sameRepublish(has, needed *jetstream.RePublish) bool {
	return has != nil && has.Destination == needed.Destination && has.HeadersOnly == needed.HeadersOnly
}

// noteFlaws takes in the configuration of the stream, and says once when a flaw
// appears and once when it is gone.
func (l *Log) noteFlaws(c jetstream.StreamConfig) {
	now := flawsOf(c, streams.NeedOfEvents(l.cfg.MaxEventBytes))
	before := l.flaws.Swap(&now)
	if l.readOnly {
		return
	}
	var appeared []string
	for _, flaw := range Flaws() {
		is, was := slices.Contains(now, flaw), before != nil && slices.Contains(*before, flaw)
		switch {
		case is && !was:
			l.metrics.flaws.WithLabelValues(string(flaw)).Set(1)
			appeared = append(appeared, flaw.Text())
		case was && !is:
			l.metrics.flaws.WithLabelValues(string(flaw)).Set(0)
			l.logger.Info("the stream of events is as it should be again", "stream", layout.EventStream, "flaw", flaw)
		}
	}
	if len(appeared) > 0 {
		l.logger.Error("the stream of events was edited: "+strings.Join(appeared, "; "), "stream", layout.EventStream, "flaws", now, "do", flawsRemedy)
	}
}

// Flawed returns nil, or an error that names what is wrong with the settings of the
// event stream, as of the last [Log.State].
func (l *Log) Flawed() error {
	flaws := l.flaws.Load()
	if flaws == nil || len(*flaws) == 0 {
		return nil
	}
	var texts []string
	for _, flaw := range *flaws {
		texts = append(texts, flaw.Text())
	}
	return fmt.Errorf("stream %s was edited: %s: %s", layout.EventStream, strings.Join(texts, "; "), flawsRemedy)
}
