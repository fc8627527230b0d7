package shares

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/internal/outage"
	"github.com/letswriteabook/realtime/messaging"
)

// Config is the pace at which gateways publish their shares to each other.
// [DefaultConfig] returns one that serves.
type Config struct {
	// Interval is how often a share that has changed is published.
	Interval time.Duration
	// Lease is how long a share counts after it was last published: how soon the share of
	// a gateway that was killed is free again. An unchanged share is published three
	// times in it.
	Lease time.Duration
	// Replicas is the number of servers that hold the shares, 1, 3 or 5, in a bucket that is
	// yet to be created.
	Replicas int
}

// DefaultConfig returns the pace of the gateway.
func DefaultConfig() Config {
	return Config{Interval: 500 * time.Millisecond, Lease: 10 * time.Second, Replicas: 1}
}

// Validate names the first field that cannot be served.
func (c Config) Validate() error {
	switch {
	case c.Interval <= 0:
		return fmt.Errorf("eventstore: shares: Interval is %s, must be more than 0", c.Interval)
	case c.Lease < time.Second || c.Lease < 3*c.Interval:
		return fmt.Errorf("eventstore: shares: Lease is %s, must be at least 1s and three times Interval", c.Lease)
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5:
		return fmt.Errorf("eventstore: shares: Replicas is %d, must be 1, 3 or 5", c.Replicas)
	}
	return nil
}

// The bounds of one share on the wire: the origins with the most connections,
// and none whose name is no name.
const (
	maxShareOrigins  = 1000
	maxOriginBytes   = 256
	maxShareBytes    = 2 << 20 // JSON writes a byte in at most six
	maxSharesBytes   = 8 * maxShareBytes
	withdrawTimeout  = time.Second
	firstPause       = 50 * time.Millisecond
	longestShareRest = 2 * time.Second
)

// Exchange lets gateways on one log know how many connections the others hold, by
// way of the key-value bucket NOVEL_GATEWAYS, with a key for each gateway.
//
// # What holds
//
// It is eventually consistent. A gateway publishes a change within
// [Config].Interval, and the others receive it a moment later; what they
// admit meanwhile is not counted. So a cap over N gateways can be passed by what
// N−1 of them admit in one Interval and the time that a message takes; with a
// connection rate of r a second each, by (N−1) × r × (Interval + that time).
//
// When the bucket is out of reach, the shares of the others lapse with their
// lease, and nothing but the gateway's own limits is left. The bucket is in
// memory: servers that all restart lose it, and gateways publish their shares again.
type Exchange struct {
	log     *eventstore.Log
	cfg     Config
	logger  *slog.Logger
	gateway string // this one's key
	metrics *metrics
}

// Open returns the shares kept beside a log. It makes no request: that is
// [Exchange.Run]'s. A nil logger discards.
func Open(log *eventstore.Log, cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Exchange, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	measured, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("eventstore: %w", err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Exchange{log: log, cfg: cfg, logger: logger, gateway: rand.Text(), metrics: measured}, nil
}

// Run publishes this gateway's share, which own returns, and hands what the others
// hold together to others whenever that changes, until ctx ends. Then it takes
// the share back. Both functions are called on Run's goroutine and must not
// block. It is run once, and always returns nil: what fails is tried again.
func (s *Exchange) Run(ctx context.Context, own func() messaging.Share, others func(messaging.Share)) error {
	known := &ledger{lease: s.cfg.Lease, gateways: make(map[string]entry), others: others}
	rest := jet.NewPause(firstPause, longestShareRest)
	unreached := outage.NewBook(s.logger, slog.LevelWarn,
		"the shares of other gateways are out of reach: limits of the cluster are not enforced once they lapse", "the shares of other gateways are known again")
	for ctx.Err() == nil {
		err := s.keep(ctx, known, own, func() {
			unreached.Worked()
			rest = jet.NewPause(firstPause, longestShareRest)
		})
		if ctx.Err() != nil {
			break
		}
		s.metrics.failures.Inc()
		s.metrics.gateways.Set(float64(known.settle(time.Now())))
		unreached.Failed(err)
		_ = rest.Wait(ctx) // cut short by the end of ctx
		s.metrics.gateways.Set(float64(known.settle(time.Now())))
	}
	s.withdraw(ctx)
	return nil
}

// keep publishes and receives shares until something fails. well is called when the
// bucket has answered.
func (s *Exchange) keep(ctx context.Context, known *ledger, own func() messaging.Share, well func()) error {
	bucket, err := s.bucket(ctx)
	if err != nil {
		return err
	}
	watcher, err := bucket.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch bucket %s: %w", layout.ShareBucket, err)
	}
	defer func() { _ = watcher.Stop() }() // a watcher of a lost connection has nothing to stop
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	var told messaging.Share
	var at time.Time
	// unheard is since when nothing that was published has come back by the watch, zero
	// when it has. A bucket that was re-created takes shares, and is no longer watched.
	var unheard time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case update, open := <-watcher.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			switch {
			case update == nil: // everything there was has been seen
			case update.Key() == s.gateway:
				unheard = time.Time{}
			default:
				known.hear(update, time.Now())
			}
		case now := <-tick.C:
			if !unheard.IsZero() && now.Sub(unheard) >= s.cfg.Lease/3 {
				return errors.New("the watch has gone silent")
			}
			due := at.IsZero() || now.Sub(at) >= s.cfg.Lease/3
			if share := bounded(own()); due || !reflect.DeepEqual(share, told) {
				if err := s.tell(ctx, bucket, share); err != nil {
					return err
				}
				if told, at = share, now; unheard.IsZero() {
					unheard = now
				}
				well()
			}
			s.metrics.gateways.Set(float64(known.settle(now)))
		}
	}
}

// bucket makes the bucket, or finds it.
func (s *Exchange) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, s.log.Client().AckTimeout)
	defer cancel()
	replicas := s.cfg.Replicas
	if stream, err := s.log.Client().JS.Stream(ctx, layout.ShareStream); err == nil {
		replicas = stream.CachedInfo().Config.Replicas // which maintain.Log changes
	}
	bucket, err := s.log.Client().JS.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: layout.ShareBucket, Description: "How many connections each gateway holds.",
		TTL: s.cfg.Lease, Storage: jetstream.MemoryStorage, Replicas: replicas, MaxValueSize: maxShareBytes, MaxBytes: maxSharesBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", layout.ShareBucket, err)
	}
	return bucket, nil
}

func (s *Exchange) tell(ctx context.Context, bucket jetstream.KeyValue, share messaging.Share) error {
	ctx, cancel := context.WithTimeout(ctx, s.log.Client().AckTimeout)
	defer cancel()
	value, err := json.Marshal(share)
	if err != nil {
		return err
	}
	if _, err := bucket.Put(ctx, s.gateway, value); err != nil {
		return fmt.Errorf("publish the share: %w", err)
	}
	return nil
}

// withdraw takes the share back at once. Where that fails the lease does.
func (s *Exchange) withdraw(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if bucket, err := s.log.Client().JS.KeyValue(ctx, layout.ShareBucket); err == nil {
		_ = bucket.Delete(ctx, s.gateway)
	}
}

// bounded leaves out what would make a share too large to publish.
func bounded(share messaging.Share) messaging.Share {
	origins := slices.DeleteFunc(slices.Collect(maps.Keys(share.PerOrigin)), func(origin string) bool { return len(origin) > maxOriginBytes })
	slices.SortFunc(origins, func(a, b string) int {
		return cmp.Or(share.PerOrigin[b]-share.PerOrigin[a], strings.Compare(a, b))
	})
	kept := messaging.Share{Total: share.Total, PerOrigin: make(map[string]int)}
	for _, origin := range origins[:min(len(origins), maxShareOrigins)] {
		kept.PerOrigin[origin] = share.PerOrigin[origin]
	}
	return kept
}
