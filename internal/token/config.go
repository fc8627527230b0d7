package token

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// minSecretBytes is the length of the shortest accepted secret: the size of the
// hash of HS256, as RFC 7518, section 3.2 demands.
const minSecretBytes = 32

// maxLeeway bounds Config.Leeway: with a larger difference, the clocks must be corrected.
const maxLeeway = 10 * time.Minute

// Config says which tokens are accepted. Start from [DefaultConfig], and set Issuer,
// Audience and exactly one of JWKSURL and HMACSecret.
type Config struct {
	// JWKSURL is where the issuer publishes its public keys, as a JSON Web Key
	// Set (RFC 7517, section 5). It must be https, but for a loopback host.
	JWKSURL string
	// HMACSecret is the secret shared with the issuer, of at least minSecretBytes. Every
	// holder of the secret can sign tokens.
	HMACSecret []byte
	// Issuer is the required value of iss.
	Issuer string
	// Audience is the value that aud must have or contain.
	Audience string
	// Leeway is how far the issuer's clock may be off: a token is accepted for this long
	// after exp and before nbf. It is at most 10 minutes.
	Leeway time.Duration

	// RefreshInterval is the time between two regular fetches of the keys, plus or minus a
	// tenth. It bounds how long a withdrawn key is still accepted.
	RefreshInterval time.Duration
	// MinRefreshInterval is the shortest time between two fetches that are triggered by an
	// unknown key. Within it, tokens with a new key are refused.
	MinRefreshInterval time.Duration
	// FetchTimeout bounds one fetch of the keys, and how long
	// [Verifier.Verify] waits for one.
	FetchTimeout time.Duration
}

// DefaultConfig returns a configuration without a source of keys, Issuer and Audience.
func DefaultConfig() Config {
	return Config{
		Leeway:             30 * time.Second,
		RefreshInterval:    15 * time.Minute,
		MinRefreshInterval: 10 * time.Second,
		FetchTimeout:       5 * time.Second,
	}
}

// Validate returns an error that names the first invalid field. The intervals and the
// timeout are only used with a JWKSURL.
func (c Config) Validate() error {
	switch {
	case c.JWKSURL == "" && len(c.HMACSecret) == 0:
		return errors.New("token: JWKSURL and HMACSecret are both empty, one must be set")
	case c.JWKSURL != "" && len(c.HMACSecret) != 0:
		return errors.New("token: JWKSURL and HMACSecret are both set, only one may be")
	case c.Issuer == "":
		return errors.New("token: Issuer is empty, must be set")
	case c.Audience == "":
		return errors.New("token: Audience is empty, must be set")
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return fmt.Errorf("token: Leeway is %s, must be 0 to %s", c.Leeway, maxLeeway)
	case c.JWKSURL == "" && len(c.HMACSecret) < minSecretBytes:
		return fmt.Errorf("token: HMACSecret has %d bytes, must have at least %d", len(c.HMACSecret), minSecretBytes)
	case c.JWKSURL == "":
		return nil
	}
	if err := validateURL(c.JWKSURL); err != nil {
		return err
	}
	switch {
	case c.MinRefreshInterval <= 0:
		return fmt.Errorf("token: MinRefreshInterval is %s, must be more than 0", c.MinRefreshInterval)
	case c.RefreshInterval < c.MinRefreshInterval:
		return fmt.Errorf("token: RefreshInterval is %s, must be at least MinRefreshInterval, %s", c.RefreshInterval, c.MinRefreshInterval)
	case c.FetchTimeout <= 0:
		return fmt.Errorf("token: FetchTimeout is %s, must be more than 0", c.FetchTimeout)
	}
	return nil
}

// validateURL refuses a URL that would let an attacker on the network choose the keys. Its
// errors do not contain the URL, which may have a password.
func validateURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("token: JWKSURL is no absolute URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("token: JWKSURL has the scheme %q, must be https", u.Scheme)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("token: JWKSURL is http, must be https unless its host is loopback")
	}
	return nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
