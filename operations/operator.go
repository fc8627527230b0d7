package operations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/lease"
	"github.com/letswriteabook/realtime/eventstore/maintain"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/operations/inspect"
	"github.com/letswriteabook/realtime/operations/replay"
	"github.com/letswriteabook/realtime/projections"
)

// ErrNoLog is returned by [Open] where there is no log.
var ErrNoLog = errors.New("there is no log here")

// whereTimeout bounds the question for the epoch and head of the log.
const whereTimeout = 5 * time.Second

// Report is called with the progress of a step; total is 0 where it is not known.
type Report func(step string, done, total uint64)

// Operator gives the operators' commands the log and the read models, without a gateway
// or on the connection of one. It creates no stream and changes no limits, except where a
// method says so. It is for one goroutine.
type Operator struct {
	cfg    config.Config
	logger *slog.Logger
	nats   *backends.NATS
	// by is who asks, in the list of operations.
	by      string
	closers []func(context.Context) error // in the order of opening
}

// Open connects to NATS; without NATS_URL it opens the log in DATA_DIR, which fails while
// a gateway runs there. [Operator.Close] closes what it opened.
//
// It returns [ErrNoLog] where DATA_DIR has no log, unless create is set, which a restore
// into a new folder needs.
func Open(ctx context.Context, cfg config.Config, create bool, logger *slog.Logger) (*Operator, error) {
	if cfg.NATSURL == "" && !create {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, natsserver.Folder)); err != nil {
			return nil, fmt.Errorf("%w: NATS_URL is not set, and there is no log in DATA_DIR, %q: set the one that the gateways have", ErrNoLog, cfg.DataDir)
		}
	}
	servers, err := backends.OpenNATS(ctx, cfg, logger)
	if errors.Is(err, natsserver.ErrFolderInUse) {
		err = fmt.Errorf("%w: a gateway runs on it; set NATS_URL to the address in its NATS_LISTEN, or stop it", err)
	}
	if err != nil {
		return nil, err
	}
	operator := On(servers, cfg, "", logger)
	if current, err := user.Current(); err == nil {
		operator.by = current.Username
	}
	operator.closers = append(operator.closers, servers.Close)
	return operator, nil
}

// On returns an operator on a connection that stays the caller's. by is who asks, as the
// list of operations shows it.
func On(servers *backends.NATS, cfg config.Config, by string, logger *slog.Logger) *Operator {
	return &Operator{cfg: cfg, logger: logger, nats: servers, by: by}
}

// Where describes the log in one line: the server or folder, the epoch, and the newest
// sequence.
func (o *Operator) Where(ctx context.Context) string {
	place := fmt.Sprintf("server %s at %s", o.nats.Conn().ConnectedServerName(), o.nats.Conn().ConnectedAddr())
	if o.cfg.NATSURL == "" {
		place = fmt.Sprintf("folder %q", o.cfg.DataDir)
	}
	bounded, cancel := context.WithTimeout(ctx, whereTimeout)
	defer cancel()
	epoch, head, err := eventstore.Head(bounded, o.nats.Conn(), o.nats.Domain())
	if err != nil {
		return fmt.Sprintf("%s: %v", place, err)
	}
	return fmt.Sprintf("%s, epoch %s, head %d", place, epoch, head)
}

// Close closes what [Open] and the methods opened, within SHUTDOWN_TIMEOUT.
func (o *Operator) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), o.cfg.ShutdownTimeout)
	defer cancel()
	var failures []error
	for _, end := range slices.Backward(o.closers) {
		failures = append(failures, end(ctx))
	}
	o.closers = nil
	return errors.Join(failures...)
}

// log returns the log with the largest event that this process accepts.
func (o *Operator) log(ctx context.Context) (*maintain.Log, error) {
	limits := eventstore.DefaultConfig()
	limits.Domain = o.nats.Domain()
	limits.MaxEventBytes = o.cfg.MaxEvent
	return maintain.Attach(ctx, o.nats.Conn(), limits, o.logger)
}

// models returns the read models; it fails without MONGODB_URI.
func (o *Operator) models() (*projections.Store, error) {
	if o.cfg.MongoDBURI == "" {
		return nil, fmt.Errorf("%w: MONGODB_URI is not set: there are no projections", config.ErrInvalid)
	}
	db, err := backends.MongoDB(o.cfg, o.logger)
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, db.Client().Disconnect)
	return projections.New(db, projections.DefaultConfig(), o.logger, prometheus.NewRegistry())
}

// IsNothing reports whether an error says that what was named does not exist: the name is
// probably mistyped.
func IsNothing(err error) bool {
	return errors.Is(err, inspect.ErrNoEvent) || errors.Is(err, lease.ErrNone) || errors.Is(err, erasure.ErrNothing) || errors.Is(err, replay.ErrNothing)
}
