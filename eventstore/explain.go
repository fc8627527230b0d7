package eventstore

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
)

// besideLogBytes is what the other streams and buckets may take beside the log, without the
// revocations, which exist where clients need a token.
const besideLogBytes = 512 << 20

// explain adds what to do to an error of opening the log.
func (l *Log) explain(err error) error { return explainOpening(l.client.Conn, l.cfg.MaxBytes, err) }

// explainOpening adds what to do to an error of opening a log of maxBytes.
func explainOpening(conn *nats.Conn, maxBytes int64, err error) error {
	switch {
	case err == nil:
		return nil
	case jet.HasCode(err, jet.CodeStorageExceeded, jet.CodeInsufficientResources, jet.CodeAccountExceeded):
		return fmt.Errorf("%w: STREAM_MAX_BYTES (%d) and 512 MiB for dead letters and sessions (with tokens 16 MiB more for revocations) have to fit into what the NATS server and account may store: lower STREAM_MAX_BYTES, or raise max_file",
			err, maxBytes)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), jet.HasCode(err, jetstream.JSErrCodeJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: the NATS account has no JetStream, JetStream is not enabled for it: enable it, or use another account in NATS_URL", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), jet.HasCode(err, jetstream.JSErrCodeJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: JetStream does not answer: it is not enabled on the NATS servers, or not for this account, or the log is in another domain (NATS_JS_DOMAIN)", err)
	}
	return Explain(conn, err)
}

// Explain adds to an error what was forbidden to the user of a connection, if it was the
// last thing that went wrong there: a request without the permission is not answered.
func Explain(conn *nats.Conn, err error) error {
	violation := conn.LastError()
	if err == nil || errors.Is(err, ErrForbidden) || !errors.Is(violation, nats.ErrPermissionViolation) {
		return err
	}
	return fmt.Errorf("%w: %w (%w): see docs/ops/permissions.md", err, ErrForbidden, violation)
}
