package fanout

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
//	epoch ":" key "=" sequence *("," key "=" sequence)
//
// An event of a socket with one subscription carries the offset of that job
// alone, and so the same for all such sockets. A job without a mark has handed
// over nothing yet.
type offset struct {
	epoch string
	marks []mark
}

// mark is how far one job has come.
type mark struct {
	key      string // see jobKey
	sequence uint64
}

// jobKey is a job's short name in offsets: 48 bits of the SHA-256 of the jobId,
// in base64url (RFC 4648, section 5). Two jobs of one socket with the same key
// are as unlikely as it takes; such a socket would be replayed too much.
func jobKey(jobID string) string {
	sum := sha256.Sum256([]byte(jobID))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// append appends the offset's text.
func (o offset) append(dst []byte) []byte {
	dst = append(append(dst, o.epoch...), ':')
	for i, mark := range o.marks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, mark.key...), '=')
		dst = strconv.AppendUint(dst, mark.sequence, 10)
	}
	return dst
}

// of returns how far a job has come, if it has handed over anything.
func (o offset) of(jobID string) (sequence uint64, found bool) {
	key := jobKey(jobID)
	for _, mark := range o.marks {
		if mark.key == key {
			return mark.sequence, true
		}
	}
	return 0, false
}

// parseOffset reads what [offset.append] wrote. It returns errOffset for
// anything else.
func parseOffset(text string) (offset, error) {
	if len(text) > maxOffsetBytes {
		return offset{}, fmt.Errorf("%w: %d bytes, of at most %d", errOffset, len(text), maxOffsetBytes)
	}
	epoch, rest, found := strings.Cut(text, ":")
	if !found || epoch == "" {
		return offset{}, fmt.Errorf("%w: it names no epoch", errOffset)
	}
	parsed := offset{epoch: epoch}
	for entry := range strings.SplitSeq(rest, ",") {
		key, digits, found := strings.Cut(entry, "=")
		sequence, err := strconv.ParseUint(digits, 10, 64)
		if !found || key == "" || err != nil || strconv.FormatUint(sequence, 10) != digits {
			return offset{}, fmt.Errorf("%w: %.32q is no mark", errOffset, entry)
		}
		parsed.marks = append(parsed.marks, mark{key: key, sequence: sequence})
	}
	return parsed, nil
}
