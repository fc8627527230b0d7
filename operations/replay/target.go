package replay

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/messaging"
	"github.com/letswriteabook/realtime/projections"
)

// The places of a [Target].
const (
	ToStdout     = "stdout"
	ToNATS       = "nats"
	ToRedis      = "redis"
	ToCollection = "collection"
	ToJob        = "job"
	ToLog        = "log"
)

// Target says where a replay sends the records.
type Target struct {
	// Place is one of the constants above. Name is the subject, the channel, the
	// collection or the job; empty for stdout and the log.
	Place, Name string
}

// errTarget describes the syntax of a target.
var errTarget = errors.New("want stdout, nats:SUBJECT, redis:CHANNEL, collection:NAME, job:JOB or log")

// parseTarget reads a place, or place:name.
func parseTarget(text string) (Target, error) {
	place, name, named := strings.Cut(text, ":")
	target := Target{Place: place, Name: name}
	var err error
	switch place {
	case ToStdout, ToLog:
		if named {
			err = errTarget
		}
	case ToNATS:
		err = maintain.CheckSubject(name)
	case ToRedis:
		if name == "" || strings.HasPrefix(name, "novel.") {
			err = errors.New("want a Redis channel whose name does not begin with novel., which are the service's own")
		}
	case ToCollection:
		err = projections.CheckCollection(name)
	case ToJob:
		err = messaging.ValidateJobID(name)
	default:
		err = errTarget
	}
	if err != nil {
		return target, fmt.Errorf("%q: %w", text, err)
	}
	return target, nil
}

// String returns the target as [parseTarget] reads it.
func (t Target) String() string {
	if t.Name == "" {
		return t.Place
	}
	return t.Place + ":" + t.Name
}

// newRun returns an id for one run of a replay.
func newRun() string {
	var bits [4]byte
	_, _ = rand.Read(bits[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(bits[:])
}
