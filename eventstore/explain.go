package eventstore

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// besideLogBytes is what the other streams and buckets may take beside the log.
const besideLogBytes = 512 << 20

// explain adds what to do to an error of opening the log.
func (l *Log) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case hasCode(err, codeStorageExceeded, codeInsufficientResources, codeAccountExceeded):
		return fmt.Errorf("%w: STREAM_MAX_BYTES (%d) and 512 MiB for dead letters and sessions have to fit into what the NATS server and account may store: lower STREAM_MAX_BYTES, or raise max_file",
			err, l.cfg.MaxBytes)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), hasCode(err, jetstream.JSErrCodeJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: the NATS account has no JetStream, JetStream is not enabled for it: enable it, or use another account in NATS_URL", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), hasCode(err, jetstream.JSErrCodeJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: nobody answers for JetStream: it is not enabled on the NATS servers, or not for this account", err)
	}
	if violation := l.conn.LastError(); violation != nil && strings.Contains(strings.ToLower(violation.Error()), "permission") {
		return fmt.Errorf("%w: the permissions of the NATS user are too narrow (%w): see docs/ops/permissions.md", err, violation)
	}
	return err
}
