package token

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// MaxTokenBytes is the length of the longest token that is parsed.
const MaxTokenBytes = 8 << 10

// source provides keys.
type source interface {
	// algorithms returns the accepted algorithms.
	algorithms() []string
	// find returns the keys to try, at least one, or a *refusal. The algorithm is one of
	// algorithms(); id is the key id, empty if the token has none.
	find(algorithm, id string) ([]jwt.VerificationKey, error)
	// run updates the keys until ctx ends.
	run(ctx context.Context)
}

// Verifier verifies tokens. Its methods may be called concurrently.
type Verifier struct {
	cfg     Config
	source  source
	parser  *jwt.Parser
	metrics *metrics
	ran     atomic.Bool
}

// New returns a verifier. With a JWKSURL it refuses every token until [Verifier.Run] has
// fetched keys. A nil logger discards; with a nil registerer the metrics are not
// registered.
func New(cfg Config, logger *slog.Logger, registerer prometheus.Registerer) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	metrics, err := newMetrics(registerer)
	if err != nil {
		return nil, fmt.Errorf("token: register metrics: %w", err)
	}
	verifier := &Verifier{cfg: cfg, metrics: metrics}
	if cfg.JWKSURL != "" {
		fetched, err := newFetchMetrics(registerer)
		if err != nil {
			return nil, fmt.Errorf("token: register metrics: %w", err)
		}
		verifier.source = newIssuer(cfg, logger, fetched)
	} else {
		verifier.source = newSecret(cfg.HMACSecret)
	}
	verifier.cfg.HMACSecret = nil // the source has a clone
	verifier.parser = jwt.NewParser(
		jwt.WithValidMethods(verifier.source.algorithms()),
		jwt.WithStrictDecoding(),
		jwt.WithoutClaimsValidation(), // Verify validates claims, at the caller's time
	)
	return verifier, nil
}

// Run updates the keys of the issuer until ctx ends, and then returns nil. It continues if
// the issuer does not answer. With a shared secret it only waits. It may be called once,
// and again after it has panicked.
func (v *Verifier) Run(ctx context.Context) error {
	if v.ran.Swap(true) {
		return ErrRunning
	}
	returned := false
	defer func() { v.ran.Store(returned) }()
	v.source.run(ctx)
	returned = true
	return nil
}

// SetSecret replaces the secret that is shared with the issuer by one that
// [Config].Validate accepts. Tokens signed with the previous secret are refused from then
// on. It does nothing for an issuer with a JWKSURL.
func (v *Verifier) SetSecret(text []byte) {
	if shared, ok := v.source.(*secret); ok {
		shared.set(text)
	}
}

// Verify returns what the token grants at the given time, or an error that matches
// [ErrMissing], [ErrInvalid], [ErrExpired] or [ErrUnavailable] and contains no part of the
// token.
//
// It returns at once if the key is known. Otherwise it may wait up to Config.FetchTimeout
// for the keys to be fetched.
func (v *Verifier) Verify(raw string, now time.Time) (Claims, error) {
	claims, refused := v.verify(raw, now)
	if refused != nil {
		v.metrics.refused.WithLabelValues(refused.label).Inc()
		return Claims{}, refused
	}
	v.metrics.accepted.Inc()
	return claims, nil
}

func (v *Verifier) verify(raw string, now time.Time) (Claims, *refusal) {
	switch {
	case raw == "":
		return Claims{}, refusedMissing
	case len(raw) > MaxTokenBytes:
		return Claims{}, refusedLength
	case strings.ContainsAny(raw, "\r\n"):
		// Base64 decoding skips line breaks, so one token could be written in several ways.
		return Claims{}, refusedMalformed
	}
	members := jwt.MapClaims{}
	parsed, err := v.parser.ParseWithClaims(raw, members, v.keys)
	if err != nil {
		return Claims{}, refusalOfForm(err, parsed, v.source.algorithms())
	}
	// The library compares dates of any size; where they overflow, the result depends on the
	// processor.
	if !isDate(members["exp"]) || !isDate(members["nbf"]) {
		return Claims{}, refusedClaim
	}
	validator := jwt.NewValidator(
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(v.cfg.Issuer),
		jwt.WithAudience(v.cfg.Audience),
		jwt.WithLeeway(v.cfg.Leeway),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	if err := validator.Validate(members); err != nil {
		return Claims{}, refusalOfClaims(err)
	}
	claims, err := readClaims(members, v.cfg.Leeway)
	if err != nil {
		return Claims{}, refusedClaim
	}
	claims.KeyID, _ = parsed.Header["kid"].(string)
	return claims, nil
}

// keys returns the keys with which the library is to verify the signature. The algorithm
// was checked before.
func (v *Verifier) keys(parsed *jwt.Token) (any, error) {
	// RFC 7515, section 4.1.11: a token with critical extensions that are not understood
	// must be refused. No extension is supported.
	if _, critical := parsed.Header["crit"]; critical || !isTokenType(parsed.Header["typ"]) {
		return nil, refusedHeader
	}
	id, isString := parsed.Header["kid"].(string)
	if _, named := parsed.Header["kid"]; named && !isString {
		return nil, refusedHeader
	}
	keys, err := v.source.find(parsed.Method.Alg(), id)
	if err != nil {
		return nil, err
	}
	return jwt.VerificationKeySet{Keys: keys}, nil
}

// isTokenType reports whether a typ may be the type of a bearer token: absent, JWT (RFC
// 7519, section 5.1) or at+jwt (RFC 9068, section 2.1). An issuer signs other things, such
// as logout tokens, with the same keys; these must not be accepted (RFC 8725, section
// 3.12).
func isTokenType(typ any) bool {
	if typ == nil {
		return true
	}
	name, _ := typ.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	return name == "jwt" || name == "at+jwt"
}
