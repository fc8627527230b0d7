package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/letswriteabook/realtime/messaging"
)

// errOffset is returned for an offset that this service did not create.
var errOffset = errors.New("not an offset")

// maxOffsetBytes bounds the offset that a client may send.
const maxOffsetBytes = 8 << 10

// offset is the position of a socket's subscriptions when an event was queued for it. The
// client keeps the offset of the last event it received, and sends it when it recovers its
// session. A socket receives its events in one order, so the client has all events that the
// offset covers.
//
// On the wire it is text, because Socket.IO takes an offset only as the last
// argument of an event, when that is a string:
//
//	epoch ":" [ mark *("," mark) ]      mark = key "=" ( sequence / "-" )
//
// An event of a socket with one subscription has the offset of that job only, which is the
// same for all such sockets. A job with "-" has sent no event yet.
type offset struct {
	epoch string
	marks []mark
}

// mark is the last sequence of one job that was queued for the socket.
type mark struct {
	key      string // see jobKey
	sequence uint64
	// pending is set until the first event: the client was told of the subscription and has
	// received nothing in it.
	pending bool
}

// jobKey returns a job's short name in offsets: 48 bits of the SHA-256 of the jobId, in
// base64url (RFC 4648, section 5). If two jobs of one socket had the same key, which is
// very unlikely, the socket would be replayed too much.
func jobKey(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	var key [jobKeyBytes]byte
	base64.RawURLEncoding.Encode(key[:], sum[:6])
	return string(key[:])
}

// jobKeyBytes is the length of a job key.
const jobKeyBytes = 8

// size returns the largest length of the offset's text, in bytes.
func (o offset) size() int { return len(o.epoch) + 1 + len(o.marks)*(jobKeyBytes+1+20+1) }

// append appends the offset's text.
func (o offset) append(dst []byte) []byte {
	dst = append(append(dst, o.epoch...), ':')
	for i, mark := range o.marks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, mark.key...), '=')
		if mark.pending {
			dst = append(dst, '-')
			continue
		}
		dst = strconv.AppendUint(dst, mark.sequence, 10)
	}
	return dst
}

// of returns the last sequence of a job that was queued, if there was one.
func (o offset) of(jobID string) (sequence uint64, found bool) {
	key := jobKey(jobID)
	for _, mark := range o.marks {
		if mark.key == key {
			return mark.sequence, !mark.pending
		}
	}
	return 0, false
}

// namesOthers reports whether an event of a job needs marks of other jobs.
func (o offset) namesOthers(epoch, key string) bool {
	return o.epoch == epoch && (len(o.marks) > 1 || len(o.marks) == 1 && o.marks[0].key != key)
}

// with returns the offset with the mark of a job set to a sequence.
func (o offset) with(epoch, key string, sequence uint64) offset {
	o.marks = slices.Clone(o.marks)
	o.set(epoch, key, sequence)
	return o
}

// set sets the mark of a job. Marks of another epoch are invalid then, and are dropped.
func (o *offset) set(epoch, key string, sequence uint64) {
	if o.epoch != epoch {
		o.epoch, o.marks = epoch, nil
	}
	for i := range o.marks {
		if o.marks[i].key == key {
			o.marks[i] = mark{key: key, sequence: sequence}
			return
		}
	}
	o.marks = append(o.marks, mark{key: key, sequence: sequence})
}

// expect records a subscription that has sent no event yet.
func (o *offset) expect(epoch, key string) {
	if o.epoch != epoch {
		o.epoch, o.marks = epoch, nil
	}
	for _, mark := range o.marks {
		if mark.key == key {
			return
		}
	}
	o.marks = append(o.marks, mark{key: key, pending: true})
}

// drop removes a job from the offset.
func (o *offset) drop(key string) {
	o.marks = slices.DeleteFunc(o.marks, func(m mark) bool { return m.key == key })
}

// parseOffset parses the text of [offset.append]. It returns errOffset for other text.
func parseOffset(text string) (offset, error) {
	if len(text) > maxOffsetBytes {
		return offset{}, fmt.Errorf("%w: %d bytes, of at most %d", errOffset, len(text), maxOffsetBytes)
	}
	epoch, rest, found := strings.Cut(text, ":")
	if !found || epoch == "" || len(epoch) > messaging.MaxEpochBytes {
		return offset{}, fmt.Errorf("%w: it names no epoch", errOffset)
	}
	parsed := offset{epoch: epoch}
	if rest == "" {
		return parsed, nil
	}
	for entry := range strings.SplitSeq(rest, ",") {
		key, digits, found := strings.Cut(entry, "=")
		found = found && key != "" && len(key) <= jobKeyBytes
		if found && digits == "-" {
			parsed.marks = append(parsed.marks, mark{key: key, pending: true})
			continue
		}
		sequence, err := strconv.ParseUint(digits, 10, 64)
		if !found || err != nil || strconv.FormatUint(sequence, 10) != digits {
			return offset{}, fmt.Errorf("%w: %.32q is no mark", errOffset, entry)
		}
		parsed.marks = append(parsed.marks, mark{key: key, sequence: sequence})
	}
	return parsed, nil
}
