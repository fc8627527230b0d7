package streams

import (
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/nats-io/nats.go/jetstream"
)

// Need is what the service needs of the settings of a stream or of the stream of a bucket.
// It is applied when the stream is made and when a process starts, and compared with what
// the stream has while the process runs.
type Need struct {
	// Prefix is what its subjects begin with.
	Prefix string
	// PerSubject is how many messages of a subject stay; 0 for all.
	PerSubject int64
	// MessageBytes is the smallest limit of a message that serves; without one every
	// limit does.
	MessageBytes int64
	Discard      jetstream.DiscardPolicy
	Storage      jetstream.StorageType
	// Direct says that it is read with direct gets.
	Direct    bool
	Republish *jetstream.RePublish
	// Keeps says that messages must not go with their age.
	Keeps bool
	// Sealed says what to do when the stream has a flaw that no edit undoes, as one that is
	// sealed: see [Edited].
	Sealed string
}

// NeedOfEvents is the need of the event stream, which has to take events of maxEventBytes.
func NeedOfEvents(maxEventBytes int) Need {
	return Need{
		Prefix: layout.EventPrefix, Discard: jetstream.DiscardNew, MessageBytes: int64(maxEventBytes) + layout.HeaderReserveBytes, Direct: true,
		Republish: &jetstream.RePublish{Source: layout.EventPrefix + ">", Destination: layout.LivePrefix + ">"},
	}
}

// removeIt is what to do about a sealed stream whose content may go.
const removeIt = "remove the stream with the tool that sealed it: a gateway re-creates it within seconds, empty"

// Beside are the needs of the streams beside the event stream.
var Beside = map[string]Need{
	layout.DeadLetterStream: {Prefix: layout.DeadLetterPrefix, Discard: jetstream.DiscardOld, Direct: true, Sealed: "save its letters (realtime deadletter list), then " + removeIt},
	layout.IdentityStream:   {Prefix: layout.IdentityPrefix, Discard: jetstream.DiscardOld, PerSubject: layout.IdentityHistory, Keeps: true, Sealed: removeIt},
	layout.SessionStream:    {Prefix: layout.SessionPrefix, Discard: jetstream.DiscardOld, PerSubject: 1, Sealed: removeIt},
	layout.ShareStream:      {Prefix: "$KV." + layout.ShareBucket + ".", Discard: jetstream.DiscardNew, PerSubject: 1, Storage: jetstream.MemoryStorage, Direct: true, Sealed: removeIt},
	layout.OperationStream:  {Prefix: "$KV." + layout.OperationBucket + ".", Discard: jetstream.DiscardNew, PerSubject: 1, Direct: true, Keeps: true, Sealed: "remove the stream with the tool that sealed it: the next operation re-creates it; what was interrupted has to be repeated"},
	layout.RevocationStream: {
		Prefix: layout.RevocationPrefix, Discard: jetstream.DiscardNew, PerSubject: 1, Direct: true,
		Republish: &jetstream.RePublish{Source: layout.RevocationPrefix + ">", Destination: layout.RevokedPrefix + ">"},
		Sealed:    "remove the stream with the tool that sealed it: a gateway re-creates it within seconds, with what it holds in memory",
	},
	layout.AuditStream: {
		Prefix: layout.AuditPrefix, Discard: jetstream.DiscardNew, Direct: true, Keeps: true,
		Republish: &jetstream.RePublish{Source: layout.ErasurePrefix + ">", Destination: layout.ErasedPrefix + ">", HeadersOnly: true},
		Sealed:    "save its notes (realtime audit list), then remove the stream with the tool that sealed it: the next erasure re-creates it",
	},
}

// Apply gives a stream what is needed, as far as a stream can be edited.
func (n Need) Apply(c *jetstream.StreamConfig) {
	c.Subjects = []string{n.Prefix + ">"}
	c.Storage, c.Retention, c.Discard = n.Storage, jetstream.LimitsPolicy, n.Discard
	c.MaxMsgs, c.MaxMsgsPerSubject, c.MaxMsgSize, c.NoAck = -1, -1, -1, false
	if n.PerSubject > 0 {
		c.MaxMsgsPerSubject = n.PerSubject
	}
	c.AllowDirect = c.AllowDirect || n.Direct
	if n.Republish != nil {
		c.RePublish = n.Republish
	}
	if n.Keeps {
		c.MaxAge = 0
	}
}
