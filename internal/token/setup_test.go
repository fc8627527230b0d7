package token_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/internal/token"
)

const (
	issuerName = "https://issuer.test/"
	audience   = "realtime"
)

// now is when tokens are verified.
var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// Keys that are the same in every test; RSA ones take long to make.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p256Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edKey      = ed25519.NewKeyFromSeed([]byte("a fixed seed: signatures repeat."))
	otherKey   = ed25519.NewKeyFromSeed([]byte("another seed: of somebody else.."))
	hmacSecret = []byte("thirty-two bytes, shared by two.")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// object is a JSON object: a header, claims, a key.
type object = map[string]any

// with returns a copy of o with the members changed; a nil one is removed.
func with(o, changes object) object {
	changed := maps.Clone(o)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// goodClaims are those of a token that is accepted.
func goodClaims() object {
	return object{
		"iss": issuerName, "aud": audience, "sub": "reader-7", "exp": now.Add(time.Hour).Unix(),
		"jobs": []string{"job-1", "draft-*"}, "scope": "read publish",
	}
}

// sign makes a token, whatever the header and the claims say.
func sign(t testing.TB, method jwt.SigningMethod, key any, header, claims any) string {
	t.Helper()
	text := segment(t, header) + "." + segment(t, claims)
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatalf("sign with %s: %v", method.Alg(), err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// ed returns a token signed with edKey, which is published as "ed".
func ed(t testing.TB, claims object) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, edKey, object{"alg": "EdDSA", "typ": "JWT", "kid": "ed"}, claims)
}

// signedAs returns a good token that names the key kid.
func signedAs(t testing.TB, key ed25519.PrivateKey, kid string) string {
	t.Helper()
	return sign(t, jwt.SigningMethodEdDSA, key, object{"alg": "EdDSA", "kid": kid}, goodClaims())
}

// segment encodes one part of a token; bytes are taken as they are.
func segment(t testing.TB, value any) string {
	t.Helper()
	raw, isRaw := value.([]byte)
	if !isRaw {
		var err error
		if raw, err = json.Marshal(value); err != nil {
			t.Fatal(err)
		}
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// jwk returns the public half of a key as a JSON Web Key.
func jwk(kid string, key any) object {
	number := func(n *big.Int, size int) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return object{
			"kty": "RSA", "kid": kid, "n": number(key.N, key.Size()), "e": number(big.NewInt(int64(key.E)), 3),
		}
	case *ecdsa.PrivateKey:
		size := (key.Params().BitSize + 7) / 8
		point := must(key.PublicKey.Bytes())[1:] // After the mark of an uncompressed point.
		return object{
			"kty": "EC", "kid": kid, "crv": key.Params().Name,
			"x": base64.RawURLEncoding.EncodeToString(point[:size]), "y": base64.RawURLEncoding.EncodeToString(point[size:]),
		}
	case ed25519.PrivateKey:
		return object{
			"kty": "OKP", "kid": kid, "crv": "Ed25519",
			"x": base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
		}
	default:
		panic("no such key")
	}
}

// publisher serves a key set, over HTTP or as a transport of its own.
type publisher struct {
	// mu guards the fields below.
	mu      sync.Mutex
	status  int
	body    []byte
	hang    bool
	cut     bool
	fetches int
}

func newPublisher(keys ...object) *publisher {
	p := &publisher{}
	p.publish(keys...)
	return p
}

// publish replaces the keys, and mends what was broken.
func (p *publisher) publish(keys ...object) {
	if keys == nil {
		keys = []object{}
	}
	p.answer(http.StatusOK, must(json.Marshal(object{"keys": keys})))
}

func (p *publisher) answer(status int, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.body, p.hang, p.cut = status, body, false, false
}

// stall lets requests wait until they are given up.
func (p *publisher) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hang = true
}

// cutOff ends connections in place of an answer.
func (p *publisher) cutOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetches
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.fetches++
	status, body, hang, cut := p.status, p.body, p.hang, p.cut
	p.mu.Unlock()
	switch {
	case hang:
		<-r.Context().Done()
		return
	case cut:
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Location", "/elsewhere") // Read with a redirect only.
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// RoundTrip answers without a network.
func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	p.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// bundle is a verifier and what it leaves behind.
type bundle struct {
	*token.Verifier
	reg  *prometheus.Registry
	logs *logs
}

// logs is a buffer for a logger that is used on several goroutines.
type logs struct {
	mu  sync.Mutex // Guards buf.
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func config() token.Config {
	cfg := token.DefaultConfig()
	cfg.Issuer, cfg.Audience = issuerName, audience
	return cfg
}

// newVerifier returns one that does not run.
func newVerifier(t testing.TB, cfg token.Config) *bundle {
	t.Helper()
	b := &bundle{reg: prometheus.NewRegistry(), logs: &logs{}}
	logger := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	verifier, err := token.New(cfg, logger, b.reg)
	if err != nil {
		t.Fatal(err)
	}
	b.Verifier = verifier
	return b
}

// withSecret returns a verifier with a shared secret.
func withSecret(t testing.TB, change ...func(*token.Config)) *bundle {
	t.Helper()
	cfg := config()
	cfg.HMACSecret = hmacSecret
	for _, f := range change {
		f(&cfg)
	}
	return newVerifier(t, cfg)
}

// withIssuer returns a verifier that runs and fetches keys over HTTP. Only the
// regular fetches and the first one happen, unless the test changes that.
func withIssuer(t testing.TB, p *publisher, change ...func(*token.Config)) *bundle {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	cfg := config()
	cfg.JWKSURL = server.URL + "/keys"
	cfg.RefreshInterval, cfg.MinRefreshInterval = time.Hour, time.Hour
	for _, f := range change {
		f(&cfg)
	}
	b := newVerifier(t, cfg)
	run(t, b)
	return b
}

// unstarted returns a verifier that does not run, and fetches keys without a
// network once it does, at the intervals of the default configuration.
func unstarted(t testing.TB, p *publisher, change ...func(*token.Config)) *bundle {
	t.Helper()
	cfg := config()
	cfg.JWKSURL = "https://issuer.test/keys"
	for _, f := range change {
		f(&cfg)
	}
	b := newVerifier(t, cfg)
	token.SetTransport(b.Verifier, p)
	return b
}

// inBubble returns a verifier that runs and fetches keys without a network.
func inBubble(t testing.TB, p *publisher) *bundle {
	t.Helper()
	b := unstarted(t, p)
	run(t, b)
	return b
}

// run runs the verifier until the test ends.
func run(t testing.TB, b *bundle) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }() // Stopped by ctx.
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// requireAccepted requires that the token counts, and returns its claims.
func (b *bundle) requireAccepted(t testing.TB, raw string) token.Claims {
	t.Helper()
	claims, err := b.Verify(raw, now)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return claims
}

// requireRefused requires the sentinel and the text, no claims, and that neither
// the error nor the log repeats a part of the token.
func (b *bundle) requireRefused(t testing.TB, raw string, sentinel error, text string) {
	t.Helper()
	claims, err := b.Verify(raw, now)
	if !errors.Is(err, sentinel) || !strings.HasSuffix(err.Error(), text) {
		t.Fatalf("got %v, want %v: %s", err, sentinel, text)
	}
	if claims.Subject != "" || claims.Jobs != nil || claims.Scopes != nil || !claims.ExpiresAt.IsZero() {
		t.Errorf("refused, and yet got %+v", claims)
	}
	logged := b.logs.String()
	for _, part := range strings.Split(raw, ".") {
		if len(part) < 8 {
			continue
		}
		if strings.Contains(err.Error(), part) || strings.Contains(logged, part) {
			t.Errorf("a part of the token is in the error %q or in the log %q", err, logged)
		}
		if decoded, decodeErr := base64.RawURLEncoding.DecodeString(part); decodeErr == nil && strings.Contains(logged, string(decoded)) {
			t.Errorf("the content of the token is in the log %q", logged)
		}
	}
}
