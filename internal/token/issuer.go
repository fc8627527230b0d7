package token

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// firstRetry is the pause after a failed fetch. It doubles with each further
	// one up to longestRetry, and varies by half.
	firstRetry   = time.Second
	longestRetry = time.Minute
	// maxWaiting bounds the tokens that wait for keys. Further tokens are refused with
	// [ErrUnavailable].
	maxWaiting = 256
)

// issuer is the source of keys for an issuer that publishes them.
type issuer struct {
	cfg     Config
	client  *http.Client
	logger  *slog.Logger
	metrics *fetchMetrics

	// wanted wakes run before the next regular fetch is due. It holds one request, and the
	// goroutine that sets pending fills it under mu.
	wanted chan struct{}
	// waiting holds a value for each token that waits.
	waiting chan struct{}

	// mu guards the fields below.
	mu sync.Mutex
	// keys are the keys of the last successful fetch; nil before the first.
	keys *keySet
	// failed is true if the last fetch failed, and before the first.
	failed bool
	// attempted is when the last fetch ended.
	attempted time.Time
	// pending is true while a fetch runs or is requested.
	pending bool
	// stopped is true once there will be no further fetch.
	stopped bool
	// settled is closed when the pending fetch, or run, has ended, and is then replaced.
	settled chan struct{}
}

func newIssuer(cfg Config, logger *slog.Logger, metrics *fetchMetrics) *issuer {
	return &issuer{
		cfg:     cfg,
		client:  newClient(),
		logger:  logger,
		metrics: metrics,
		wanted:  make(chan struct{}, 1),
		waiting: make(chan struct{}, maxWaiting),
		failed:  true,
		settled: make(chan struct{}),
	}
}

func (i *issuer) algorithms() []string { return publicAlgorithms }

// find returns the keys for an id. If the id is unknown, it waits for a fetch first.
func (i *issuer) find(algorithm, id string) ([]jwt.VerificationKey, error) {
	keys, err := i.look(algorithm, id)
	if errors.Is(err, refusedUnknownKey) || errors.Is(err, refusedUnavailable) {
		i.awaitFetch()
		keys, err = i.look(algorithm, id)
	}
	return keys, err
}

// look returns the keys for an id among the fetched ones. It reports an unknown key only if
// the keys were fetched recently enough; otherwise the caller should wait for a fetch.
func (i *issuer) look(algorithm, id string) ([]jwt.VerificationKey, error) {
	i.mu.Lock()
	keys, uncertain := i.keys, i.failed || i.pending
	i.mu.Unlock()
	if keys == nil {
		return nil, refusedUnavailable
	}
	found, err := keys.find(algorithm, id)
	if uncertain && errors.Is(err, refusedUnknownKey) {
		return nil, refusedUnavailable
	}
	return found, err
}

// awaitFetch waits until a pending fetch has ended. If none is pending it requests one,
// unless the last fetch ended too recently: then it returns at once.
func (i *issuer) awaitFetch() {
	i.mu.Lock()
	if i.stopped || !i.pending && time.Since(i.attempted) < i.cfg.MinRefreshInterval {
		i.mu.Unlock()
		return
	}
	if !i.pending {
		i.pending = true
		i.wanted <- struct{}{}
	}
	settled := i.settled
	i.mu.Unlock()

	select {
	case i.waiting <- struct{}{}:
		defer func() { <-i.waiting }()
	default:
		return
	}
	timer := time.NewTimer(i.cfg.FetchTimeout)
	defer timer.Stop()
	select {
	case <-settled:
	case <-timer.C:
	}
}

// run fetches the keys at once and then regularly; sooner after a failure, or if an unknown
// key requires it.
func (i *issuer) run(ctx context.Context) {
	i.begin()
	defer i.stop()
	retries := backoff.NewExponentialBackOff()
	retries.InitialInterval = firstRetry
	retries.MaxInterval = longestRetry
	retries.Multiplier = 2
	for {
		pause := varied(i.cfg.RefreshInterval)
		if err := i.refresh(ctx); err == nil {
			retries.Reset()
		} else {
			if ctx.Err() != nil {
				return
			}
			pause = min(pause, retries.NextBackOff())
			i.logger.Warn("the keys that tokens are verified with could not be fetched", "error", err, "retry", pause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-i.wanted:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// refresh fetches the keys once and uses them from then on.
func (i *issuer) refresh(ctx context.Context) error {
	i.mu.Lock()
	i.pending = true
	select {
	case <-i.wanted: // this fetch serves the request
	default:
	}
	i.mu.Unlock()

	keys, err := fetchKeySet(ctx, i.client, i.cfg.JWKSURL, i.cfg.FetchTimeout)
	i.metrics.count(keys, err)

	i.mu.Lock()
	before, recovered := i.keys, i.failed
	if err == nil {
		i.keys = keys
	}
	i.failed = err != nil
	i.attempted = time.Now()
	i.pending = false
	i.settle()
	i.mu.Unlock()

	if err == nil && (recovered || len(keys.keys) != len(before.keys) || keys.unusable != before.unusable) {
		i.logger.Info("the keys that tokens are verified with were fetched", "keys", len(keys.keys), "unusable", keys.unusable)
	}
	return err
}

// settle releases the waiting tokens. The caller holds mu.
func (i *issuer) settle() {
	close(i.settled)
	i.settled = make(chan struct{})
}

// begin makes tokens with an unknown key wait for a fetch.
func (i *issuer) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = false
}

func (i *issuer) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stopped = true
	i.settle()
}

// varied returns the interval plus or minus up to a tenth, so that gateways started
// together do not fetch at the same times.
func varied(interval time.Duration) time.Duration {
	return interval + time.Duration((rand.Float64()-0.5)*0.2*float64(interval))
}
