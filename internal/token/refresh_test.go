package token_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/letswriteabook/realtime/internal/token"
)

const saysUnavailable = "the keys of the issuer could not be fetched"

// A rotation under load: tokens of both keys come from many sides while the
// issuer changes keys, over a real connection.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPublisher(jwk("old", edKey))
	b := withIssuer(t, p, func(cfg *token.Config) { cfg.MinRefreshInterval = time.Nanosecond })
	b.requireAccepted(t, signedAs(t, edKey, "old"))

	p.publish(jwk("old", edKey), jwk("new", otherKey))
	tokens := []string{signedAs(t, otherKey, "new"), signedAs(t, edKey, "old")}
	var verifying sync.WaitGroup
	for range 8 {
		verifying.Go(func() {
			for n := range 20 {
				if _, err := b.Verify(tokens[n%2], now); err != nil {
					t.Errorf("token %d: %v", n%2, err)
				}
			}
		})
	}
	verifying.Wait()

	p.publish(jwk("new", otherKey))
	b.requireRefused(t, signedAs(t, edKey, "nobody's"), token.ErrInvalid, "") // Has the keys fetched.
	b.requireRefused(t, signedAs(t, edKey, "old"), token.ErrInvalid, saysKey)
	b.requireAccepted(t, tokens[0])
}

func TestUnknownKeysAreFetchedAtABoundedRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(jwk("ed", edKey))
		b := inBubble(t, p)
		synctest.Wait()
		for n := range 100 {
			b.requireRefused(t, signedAs(t, otherKey, fmt.Sprint("forged-", n)), token.ErrInvalid, saysKey)
		}
		if got := p.count(); got != 1 {
			t.Errorf("%d fetches at the start, want 1", got)
		}
		for interval := range 5 {
			time.Sleep(token.DefaultConfig().MinRefreshInterval)
			for n := range 100 {
				b.requireRefused(t, signedAs(t, otherKey, fmt.Sprint("forged-", n)), token.ErrInvalid, saysKey)
			}
			if got := p.count(); got != interval+2 {
				t.Errorf("%d fetches after %d intervals, want %d", got, interval+1, interval+2)
			}
		}
		// What is wrong otherwise is no reason to ask.
		time.Sleep(token.DefaultConfig().MinRefreshInterval)
		before := p.count()
		b.requireRefused(t, signedAs(t, otherKey, "ed"), token.ErrInvalid, saysSignature)
		b.requireRefused(t, signedAs(t, otherKey, ""), token.ErrInvalid, saysSignature)
		if got := p.count(); got != before {
			t.Errorf("%d fetches for forged signatures", got-before)
		}
	})
}

// Rotated keys are found at the next regular fetch at the latest, and withdrawn
// ones stop to count, without any token asking.
func TestKeysAreFetchedRegularly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(jwk("old", edKey))
		b := inBubble(t, p)
		synctest.Wait()
		b.requireAccepted(t, signedAs(t, edKey, "old"))

		p.publish(jwk("new", otherKey))
		b.requireAccepted(t, signedAs(t, edKey, "old"))
		interval := token.DefaultConfig().RefreshInterval
		time.Sleep(interval + interval/10)
		synctest.Wait()
		if got := p.count(); got != 2 {
			t.Fatalf("%d fetches, want 2", got)
		}
		b.requireAccepted(t, signedAs(t, otherKey, "new"))
		b.requireRefused(t, signedAs(t, edKey, "old"), token.ErrInvalid, saysKey)

		p.publish() // An empty set withdraws every key.
		time.Sleep(interval + interval/10)
		synctest.Wait()
		b.requireRefused(t, signedAs(t, otherKey, "new"), token.ErrInvalid, saysKey)
	})
}

// Whatever is wrong with the endpoint at the start, tokens are refused as
// unverifiable, the log says why, and it recovers by itself.
func TestEndpointDownAtTheStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		harm func(*publisher)
		logs string
	}{
		{"an error", func(p *publisher) { p.answer(http.StatusServiceUnavailable, nil) }, "the answer is 503"},
		{"not found", func(p *publisher) { p.answer(http.StatusNotFound, []byte(`{"keys":[]}`)) }, "the answer is 404"},
		{"a redirect", func(p *publisher) { p.answer(http.StatusFound, nil) }, "the answer is a redirect"},
		{"no JSON", func(p *publisher) { p.answer(http.StatusOK, []byte("<html>")) }, "decode key set"},
		{"no key set", func(p *publisher) { p.answer(http.StatusOK, []byte("{}")) }, "no keys member"},
		{"null", func(p *publisher) { p.answer(http.StatusOK, []byte("null")) }, "no keys member"},
		{"too large", func(p *publisher) {
			p.answer(http.StatusOK, []byte(`{"keys":[],"x":"`+strings.Repeat("x", 1<<20)+`"}`))
		}, "longer than 1048576 bytes"},
		{"too many keys", func(p *publisher) {
			p.answer(http.StatusOK, []byte(`{"keys":[{}`+strings.Repeat(",{}", 256)+`]}`))
		}, "it has 257 keys"},
		{"no answer", (*publisher).stall, "deadline exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPublisher()
				test.harm(p)
				b := inBubble(t, p)
				raw := signedAs(t, edKey, "ed")
				for range 3 {
					b.requireRefused(t, raw, token.ErrUnavailable, saysUnavailable)
				}
				time.Sleep(10 * time.Minute)
				if got := p.count(); got < 10 || got > 35 {
					t.Errorf("%d fetches in 10 minutes without success", got)
				}
				if logged := b.logs.String(); !strings.Contains(logged, test.logs) || !strings.Contains(logged, "could not be fetched") {
					t.Errorf("the log does not say %q:\n%s", test.logs, logged)
				}

				p.publish(jwk("ed", edKey))
				// The longest pause, and the half it may vary by; a stalled fetch before.
				time.Sleep(90*time.Second + token.DefaultConfig().FetchTimeout)
				synctest.Wait()
				before := p.count()
				b.requireAccepted(t, raw)
				if p.count() != before {
					t.Error("it needed a token to recover")
				}
				if logged := b.logs.String(); !strings.Contains(logged, `were fetched" keys=1 unusable=0`) {
					t.Errorf("the log does not tell of the recovery:\n%s", logged)
				}
			})
		})
	}
}

// The same over a real connection, which is cut at first.
func TestConnectionsThatAreCut(t *testing.T) {
	t.Parallel()
	p := newPublisher(jwk("ed", edKey))
	p.cutOff()
	b := withIssuer(t, p, func(cfg *token.Config) { cfg.MinRefreshInterval = time.Nanosecond })
	raw := signedAs(t, edKey, "ed")
	b.requireRefused(t, raw, token.ErrUnavailable, saysUnavailable)
	p.publish(jwk("ed", edKey))
	b.requireAccepted(t, raw)
}

// While the endpoint is down, known keys go on to count, and of a token with an
// unknown key nothing can be said.
func TestEndpointDownLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(jwk("ed", edKey))
		b := inBubble(t, p)
		synctest.Wait()
		for _, body := range []string{"", "{}", `{"keys":null}`, `{"keys":7}`} {
			p.answer(http.StatusOK, []byte(body))
			time.Sleep(time.Hour)
			b.requireAccepted(t, signedAs(t, edKey, "ed"))
			b.requireRefused(t, signedAs(t, otherKey, "new"), token.ErrUnavailable, saysUnavailable)
		}
		p.publish(jwk("ed", edKey))
		time.Sleep(token.DefaultConfig().MinRefreshInterval)
		b.requireRefused(t, signedAs(t, otherKey, "new"), token.ErrInvalid, saysKey)
	})
}

// A retry follows the first failure soon, however long an earlier outage was.
func TestRetriesStartAnewAfterSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher()
		p.answer(http.StatusServiceUnavailable, nil)
		b := inBubble(t, p)
		time.Sleep(10 * time.Minute)
		p.publish(jwk("ed", edKey))
		time.Sleep(90 * time.Second)
		synctest.Wait()
		b.requireAccepted(t, signedAs(t, edKey, "ed"))

		p.answer(http.StatusServiceUnavailable, nil)
		b.requireRefused(t, signedAs(t, otherKey, "new"), token.ErrUnavailable, saysUnavailable)
		before := p.count()
		time.Sleep(1500 * time.Millisecond) // The first pause, and the half it may vary by.
		synctest.Wait()
		if got := p.count() - before; got != 1 {
			t.Errorf("%d retries, want 1", got)
		}
	})
}

// An outage does not make fetches rarer than they are without one.
func TestRetriesAreNoRarerThanRegularFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher()
		p.answer(http.StatusServiceUnavailable, nil)
		b := unstarted(t, p, func(cfg *token.Config) { cfg.RefreshInterval = cfg.MinRefreshInterval })
		run(t, b)
		time.Sleep(11 * time.Minute)
		if got := p.count(); got < 60 {
			t.Errorf("%d fetches in 11 minutes, want one in 11 seconds at least", got)
		}
	})
}

// A token that came before Run is answered by the first fetch of Run.
func TestWishesBeforeRunAreOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(jwk("ed", edKey))
		b := unstarted(t, p)
		accepted := make(chan error, 2)
		for range cap(accepted) {
			go func() { // Ends with the first fetch.
				_, err := b.Verify(signedAs(t, edKey, "ed"), now)
				accepted <- err
			}()
		}
		synctest.Wait()
		run(t, b)
		for range cap(accepted) {
			if err := <-accepted; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if got := p.count(); got != 1 {
			t.Errorf("%d fetches, want 1", got)
		}
	})
}

// A token waits for a fetch that hangs no longer than the fetch may take, a
// bounded number of them does, and known keys do not wait at all.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher(jwk("ed", edKey))
		b := inBubble(t, p)
		synctest.Wait()
		time.Sleep(token.DefaultConfig().MinRefreshInterval)
		p.stall()

		const surplus = 10
		raw := signedAs(t, otherKey, "new")
		start := time.Now()
		waits := make(chan time.Duration, token.MaxWaiting+surplus)
		for range cap(waits) {
			go func() { // Ends by the timeout of the fetch.
				if _, err := b.Verify(raw, now); !errors.Is(err, token.ErrUnavailable) {
					t.Errorf("got %v, want %v", err, token.ErrUnavailable)
				}
				waits <- time.Since(start)
			}()
		}
		synctest.Wait()
		if got := len(waits); got != surplus {
			t.Errorf("%d were refused at once, want %d", got, surplus)
		}
		b.requireAccepted(t, signedAs(t, edKey, "ed"))
		if waited := time.Since(start); waited != 0 {
			t.Errorf("a known key waited %s", waited)
		}
		time.Sleep(token.DefaultConfig().FetchTimeout)
		synctest.Wait()
		if got := len(waits); got != cap(waits) {
			t.Errorf("%d have an answer, want %d", got, cap(waits))
		}
		if got := p.count(); got != 2 {
			t.Errorf("%d fetches, want one at the start and one for all of them", got)
		}
	})
}

// A token that waits when the verifier stops is let go, and none waits later.
func TestStoppingLetsTokensGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPublisher()
		p.stall()
		b := unstarted(t, p)

		// Without Run nothing is fetched, and a token gives up in time.
		start := time.Now()
		raw := signedAs(t, edKey, "ed")
		b.requireRefused(t, raw, token.ErrUnavailable, saysUnavailable)
		if waited := time.Since(start); waited != token.DefaultConfig().FetchTimeout || p.count() != 0 {
			t.Errorf("waited %s for %d fetches", waited, p.count())
		}

		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- b.Run(ctx) }() // Stopped by cancel.
		refused := make(chan error, 1)
		go func() { // Let go by the end of Run.
			_, err := b.Verify(raw, now)
			refused <- err
		}()
		synctest.Wait()
		start = time.Now()
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := <-refused; !errors.Is(err, token.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %s for the end", waited)
		}
		time.Sleep(token.DefaultConfig().MinRefreshInterval)
		start = time.Now()
		b.requireRefused(t, raw, token.ErrUnavailable, saysUnavailable)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %s after the end", waited)
		}
		if err := b.Run(t.Context()); !errors.Is(err, token.ErrRunning) {
			t.Errorf("second run: %v", err)
		}
	})
}

func TestRunWithASecretOnlyWaits(t *testing.T) {
	t.Parallel()
	b := withSecret(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Run(ctx); !errors.Is(err, token.ErrRunning) {
		t.Errorf("second run: %v", err)
	}
}

// A token that names no key is tried with the few that fit, and no more.
func TestTokensThatNameNoKey(t *testing.T) {
	t.Parallel()
	var keys []object
	for n := range 4 {
		seed := fmt.Appendf(nil, "%032d", n)
		keys = append(keys, jwk(fmt.Sprint("key-", n), ed25519.NewKeyFromSeed(seed)))
	}
	raw := signedAs(t, ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", 3)), "")
	withIssuer(t, newPublisher(keys...)).requireAccepted(t, raw)
	withIssuer(t, newPublisher(append(keys, jwk("rsa", rsaKey()))...)).requireAccepted(t, raw)
	withIssuer(t, newPublisher(append(keys, jwk("ed", edKey))...)).requireRefused(t, raw, token.ErrInvalid, saysAmbiguous)
}
