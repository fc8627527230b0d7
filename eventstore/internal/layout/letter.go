package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/messaging"
)

// The headers of a dead letter; its payload is the event's raw bytes.
const (
	headerReason    = "Novel-Reason"
	headerDetail    = "Novel-Detail"
	headerSource    = "Novel-Source"
	headerTime      = "Novel-Time"
	headerBodyBytes = "Novel-Body-Bytes"
)

// maxDetailBytes bounds the detail and the source in their headers.
const maxDetailBytes = 512

// Letter is a dead letter as the log holds it.
type Letter struct {
	messaging.DeadLetter
	// Sequence is the letter's place in the dead-letter stream, whose sequences
	// have nothing to do with those of the events.
	Sequence uint64
	// BodyBytes is the size the event had. It is larger than Body when the
	// event did not fit into a message; then Body is its beginning.
	BodyBytes int
}

// EncodeLetter returns the message of a letter, its body cut to maxBody bytes.
func EncodeLetter(letter messaging.DeadLetter, maxBody int) *nats.Msg {
	sum := sha256.New()
	sum.Write([]byte(letter.Reason))
	sum.Write([]byte{0})
	sum.Write(letter.Body)
	msg := &nats.Msg{
		Subject: DeadLetterPrefix + messaging.Token(string(letter.Reason)),
		Data:    letter.Body[:min(len(letter.Body), maxBody)],
		Header:  nats.Header{},
	}
	msg.Header.Set(jetstream.MsgIDHeader, hex.EncodeToString(sum.Sum(nil)))
	msg.Header.Set(headerReason, string(letter.Reason))
	msg.Header.Set(headerDetail, oneLine(letter.Detail))
	msg.Header.Set(headerSource, oneLine(letter.Source))
	msg.Header.Set(headerTime, letter.At.UTC().Format(time.RFC3339Nano))
	msg.Header.Set(headerBodyBytes, strconv.Itoa(len(letter.Body)))
	return msg
}

// DecodeLetter reads a stored letter.
func DecodeLetter(found jet.Message) (Letter, error) {
	at, err := jet.TimeHeader(found.Header, headerTime)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter at sequence %d: %w", found.Sequence, err)
	}
	size, err := jet.NumberHeader(found.Header, headerBodyBytes)
	if err != nil {
		return Letter{}, fmt.Errorf("dead letter at sequence %d: %w", found.Sequence, err)
	}
	return Letter{
		DeadLetter: messaging.DeadLetter{
			Reason: messaging.Reason(found.Header.Get(headerReason)),
			Detail: found.Header.Get(headerDetail),
			Source: found.Header.Get(headerSource),
			At:     at,
			Body:   found.Body,
		},
		Sequence:  found.Sequence,
		BodyBytes: int(size),
	}, nil
}

// oneLine makes text fit for a header that people read: one line of valid UTF-8,
// bounded.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.TrimSpace(text)
	if len(text) <= maxDetailBytes {
		return text
	}
	cut := maxDetailBytes
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
