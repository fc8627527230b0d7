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

// errOffset is returned for an offset that this service did not make.
var errOffset = errors.New("not an offset")

// maxOffsetBytes bounds the offset that a client may send back.
const maxOffsetBytes = 8 << 10

// offset is how far a socket's subscriptions had come when an event was handed
// to it: the client keeps the offset of the last event it received, and sends it
// back when it recovers its session. A socket is given its events in one order,
// so what the offset counts in is what the client has.
//
// On the wire it is text, because Socket.IO takes an offset only as the last
// argument of an event, when that is a string:
//
//	epoch ":" [ mark *("," mark) ]      mark = key "=" ( sequence / "-" )
//
// An event of a socket with one subscription carries the offset of that job
// alone, and so the same for all such sockets. A job with "-" has handed over
// nothing yet.
type offset struct {
	epoch string
	marks []mark
}

// mark is the last sequence of one job that was handed over.
type mark struct {
	key      string // see jobKey
	sequence uint64
	// pending is set until the first event: the client was told of the subscription,
	// and of nothing in it.
	pending bool
}

// jobKey is a job's short name in offsets: 48 bits of the SHA-256 of the jobId,
// in base64url (RFC 4648, section 5). Two jobs of one socket with the same key
// are as unlikely as it takes; such a socket would be replayed too much.
func jobKey(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	var key [jobKeyBytes]byte
	base64.RawURLEncoding.Encode(key[:], sum[:6])
	return string(key[:])
}

// jobKeyBytes is the length of each such name.
const jobKeyBytes = 8

// size is how long the offset's text can be, in bytes.
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

// of returns the last sequence of a job that was handed over, if there was one.
func (o offset) of(jobID string) (sequence uint64, found bool) {
	key := jobKey(jobID)
	for _, mark := range o.marks {
		if mark.key == key {
			return mark.sequence, !mark.pending
		}
	}
	return 0, false
}

// namesOthers reports whether an event of a job needs more than that job's mark.
func (o offset) namesOthers(epoch, key string) bool {
	return o.epoch == epoch && (len(o.marks) > 1 || len(o.marks) == 1 && o.marks[0].key != key)
}

// with returns the offset with a job at a sequence.
func (o offset) with(epoch, key string, sequence uint64) offset {
	o.marks = slices.Clone(o.marks)
	o.set(epoch, key, sequence)
	return o
}

// set moves a job to a sequence. Marks of another epoch are worth
// nothing then, and dropped.
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

// expect notes a subscription that has handed over nothing yet.
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

// drop takes a job out of the offset.
func (o *offset) drop(key string) {
	o.marks = slices.DeleteFunc(o.marks, func(m mark) bool { return m.key == key })
}

// parseOffset reads what [offset.append] wrote. It returns errOffset for
// anything else.
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
