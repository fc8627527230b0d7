package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxKeys bounds a set. Issuers publish a handful.
	maxKeys = 256
	// maxUnnamedKeys is how many keys a token that names none is tried with, so
	// that a forgery does not cost a verification by every key there is.
	maxUnnamedKeys = 4
	// An RSA key is not used outside these sizes: RFC 7518, section 3.3 demands
	// the lower; past the upper a verification takes milliseconds.
	minRSABits, maxRSABits = 2048, 8192
)

// publicAlgorithms are what a token of an issuer with published keys may be
// signed with.
var publicAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// publicKey is one key to verify with.
type publicKey struct {
	id string // Empty when the issuer gave it none.
	// algorithms are those it is for, by its type and by what the issuer says.
	algorithms []string
	key        jwt.VerificationKey
}

// keySet is what an issuer published once. It is never changed.
type keySet struct {
	keys []publicKey
	// unusable is how many more keys the issuer published, which are not for
	// verifying, or not in a way that is known here.
	unusable int
}

// find returns the keys to try for a token that names the key id, or none, or a
// *refusal.
func (s *keySet) find(algorithm, id string) ([]jwt.VerificationKey, error) {
	var found []jwt.VerificationKey
	known := false
	for _, k := range s.keys {
		if id != "" && k.id != id {
			continue
		}
		known = true
		if slices.Contains(k.algorithms, algorithm) {
			found = append(found, k.key)
		}
	}
	switch {
	case len(found) > maxUnnamedKeys:
		return nil, refusedAmbiguous
	case len(found) > 0:
		return found, nil
	case known && id != "":
		return nil, refusedAlgorithm
	default:
		return nil, refusedUnknownKey
	}
}

// parseKeySet reads a JSON Web Key Set (RFC 7517, section 5). Keys that cannot
// be used are counted, and spoil nothing: an issuer may publish others for
// purposes and clients that are not known here.
func parseKeySet(raw []byte) (*keySet, error) {
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &published); err != nil {
		return nil, fmt.Errorf("decode key set: %w", err)
	}
	switch {
	case published.Keys == nil:
		return nil, errors.New("decode key set: it has no keys member")
	case len(published.Keys) > maxKeys:
		return nil, fmt.Errorf("decode key set: it has %d keys, at most %d are accepted", len(published.Keys), maxKeys)
	}
	set := &keySet{}
	for _, raw := range published.Keys {
		if key, usable := parseKey(raw); usable {
			set.keys = append(set.keys, key)
		} else {
			set.unusable++
		}
	}
	return set, nil
}

// parseKey reads one key, and reports whether tokens can be verified with it.
func parseKey(raw json.RawMessage) (publicKey, bool) {
	var jwk jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &jwk); err != nil {
		return publicKey{}, false
	}
	if jwk.USE != "" && jwk.USE != jwkset.UseSig {
		return publicKey{}, false
	}
	if len(jwk.KEYOPS) > 0 && !slices.Contains(jwk.KEYOPS, jwkset.KeyOpsVerify) {
		return publicKey{}, false
	}
	// Trust comes from where the set was fetched, not from certificates beside
	// its keys; and keys are not fetched from an address that a key names.
	jwk.X5C, jwk.X5T, jwk.X5TS256, jwk.X5U = nil, "", "", ""
	// Without Private, secrets are refused, and of private keys that an issuer
	// should not have published only the public half is taken.
	parsed, err := jwkset.NewJWKFromMarshal(jwk, jwkset.JWKMarshalOptions{Private: false}, jwkset.JWKValidateOptions{})
	if err != nil {
		return publicKey{}, false
	}
	algorithms := algorithmsOf(parsed.Key())
	if alg := string(jwk.ALG); alg != "" {
		algorithms = slices.DeleteFunc(algorithms, func(algorithm string) bool { return algorithm != alg })
	}
	return publicKey{id: jwk.KID, algorithms: algorithms, key: parsed.Key()}, len(algorithms) > 0
}

// algorithmsOf returns the algorithms that a key can be for, by its type: of the
// ES family one for each curve (RFC 7518, section 3.4). The library does not
// look at the curve.
func algorithmsOf(key any) []string {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
