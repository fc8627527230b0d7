package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A consumer that sends nothing may have nothing to send, or may have fallen silent, as one
// that was made of a copy that was still catching up. Only the server can say which: what
// was due may have been removed, and a wait shows nothing.
const (
	// stallRounds is after how many waits without a message a consumer that has messages to
	// send counts as silent.
	stallRounds = 3
	// unansweredRounds is after how many waits one that cannot be asked does.
	unansweredRounds = 60
)

// errStalled is returned for a consumer that has fallen silent. Another consumer helps.
var errStalled = errors.New("messages are due, and the server sends none")

// settled asks a consumer that has sent nothing for so many waits whether all has come that
// it has to send. It returns errStalled when that is not so for too long. Nothing is due from
// a consumer that is paused, or whose messages others have yet to acknowledge.
func settled(ctx context.Context, consumer jetstream.Consumer, timeout time.Duration, rounds int) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := consumer.Info(ctx)
	switch {
	case err != nil && rounds >= unansweredRounds:
		return false, errors.Join(errStalled, err)
	case err != nil:
		return false, nil // asked again; a consumer that is gone ends the reading by itself
	case info.NumPending == 0:
		return true, nil
	case info.Paused, info.Config.MaxAckPending > 0 && info.NumAckPending >= info.Config.MaxAckPending:
		return false, nil
	case rounds >= stallRounds:
		return false, errStalled
	}
	return false, nil
}
