package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/internal/address"
)

// The pace of a connection. With the defaults of the client a server that
// stopped without closing its sockets is noticed after four minutes; with these
// after two to three seconds.
const (
	pingInterval        = time.Second
	maxPingsOutstanding = 2
	reconnectWait       = 100 * time.Millisecond
	reconnectJitter     = 400 * time.Millisecond
	dialTimeout         = 3 * time.Second
)

// ConnConfig says how to introduce oneself to a NATS server.
type ConnConfig struct {
	// Name is shown in the server's connection reports; empty means "realtime".
	Name string
	// Logger receives changes of the connection; nil discards them.
	Logger *slog.Logger
	// Options are added after the package's own, for credentials and TLS.
	Options []nats.Option
}

// Connect opens a connection to the servers, a comma-separated list
// of NATS URLs. It tries each once, so that an address that is wrong is one
// error, [ErrConnect], within seconds; a connection that was made is kept for
// ever after, whatever the servers do.
func Connect(ctx context.Context, servers string, cfg ConnConfig) (*nats.Conn, error) {
	opts := ConnOptions(cfg.Logger)
	if cfg.Name != "" {
		opts = append(opts, nats.Name(cfg.Name))
	}
	if deadline, ok := ctx.Deadline(); ok {
		opts = append(opts, nats.Timeout(min(dialTimeout, max(time.Until(deadline), time.Millisecond))))
	}
	conn, err := nats.Connect(servers, append(opts, cfg.Options...)...)
	if err == nil {
		return conn, nil
	}
	shown := shown(servers)
	reason := unreached(err)
	if strings.Contains(shown, "(") || errors.As(err, new(*url.Error)) { // The cause may repeat what is hidden.
		return nil, fmt.Errorf("%w at %s", ErrConnect, shown)
	}
	if reason != nil {
		return nil, fmt.Errorf("%w at %s: %w (%w)", ErrConnect, shown, reason, err)
	}
	return nil, fmt.Errorf("%w at %s: %w", ErrConnect, shown, err)
}

// shown returns a list of servers without its secrets.
func shown(servers string) string {
	if !strings.Contains(servers, "://") { // The client adds this scheme, too.
		servers = "nats://" + servers
	}
	return address.Shown(servers)
}

// ConnOptions returns the options every connection of this service uses, the
// one inside the process too.
func ConnOptions(logger *slog.Logger) []nats.Option {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return []nats.Option{
		nats.Name("realtime"),
		nats.Timeout(dialTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPingsOutstanding),
		nats.MaxReconnects(-1),
		// Credentials may be refused for a while too, as while they are rolled over.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing is published into a broken connection: an append has its own
		// retries, which would otherwise pile up there and all be sent at once.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			logger.Info("NATS connection restored", "server", conn.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			switch {
			case errors.Is(err, nats.ErrSlowConsumer) && sub != nil:
				logger.Warn("NATS subscription dropped messages", "error", err)
			case errors.Is(err, nats.ErrPermissionViolation):
				// One comes for each message that is refused. The exercise of the log
				// names the permissions that are missing, and so do errors.
				logger.Debug("NATS refuses a message or a subscription", "error", err)
			case errors.Is(unreached(err), ErrCredentials), errors.Is(unreached(err), ErrExpired):
				// One comes for each attempt to connect again, several a second.
				logger.Debug("NATS refuses the credentials", "error", err)
			default:
				logger.Warn("NATS connection reports an error", "error", err)
			}
		}),
	}
}
