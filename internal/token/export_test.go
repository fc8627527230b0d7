package token

import "net/http"

// SetTransport has the keys fetched through another transport, so that a test
// can be in a bubble, where there is no network. It must be called before Run.
func SetTransport(v *Verifier, transport http.RoundTripper) {
	v.source.(*issuer).client.Transport = transport
}

// MaxWaiting is how many tokens wait at once.
const MaxWaiting = maxWaiting

// ParseKeySet returns how many keys of a set are usable, and how many not.
func ParseKeySet(raw []byte) (usable, unusable int, err error) {
	set, err := parseKeySet(raw)
	if err != nil {
		return 0, 0, err
	}
	return len(set.keys), set.unusable, nil
}
