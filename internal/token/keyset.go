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
	// maxUnnamedKeys bounds the keys that are tried for a token without a kid, so that a
	// forged token does not cost a verification with every key.
	maxUnnamedKeys = 4
	// RSA keys outside these sizes are not used: RFC 7518, section 3.3 requires the minimum;
	// above the maximum a verification takes milliseconds.
	minRSABits, maxRSABits = 2048, 8192
)

// publicAlgorithms are the accepted algorithms for an issuer with published keys.
var publicAlgorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// publicKey is a key for verification.
type publicKey struct {
	id string // empty if the key has none
	// algorithms are the algorithms of the key, according to its type and to the issuer.
	algorithms []string
	key        jwt.VerificationKey
}

// keySet is the result of one fetch. It is immutable.
type keySet struct {
	keys []publicKey
	// unusable counts the published keys that are not for verification or not supported.
	unusable int
}

// find returns the keys to try for a token with the key id, which may be empty, or a
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

// parseKeySet parses a JSON Web Key Set (RFC 7517, section 5). It counts unusable keys and
// ignores them: an issuer may publish keys for other purposes.
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

// parseKey parses one key, and reports whether it can verify tokens.
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
	// Trust is based on the address of the set, not on certificates in it, and keys are not
	// fetched from addresses that a key names.
	jwk.X5C, jwk.X5T, jwk.X5TS256, jwk.X5U = nil, "", "", ""
	// Without Private, secrets are refused, and only the public half of a private key is
	// used, which the issuer should not have published.
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

// algorithmsOf returns the possible algorithms of a key by its type; in the ES family there
// is one for each curve (RFC 7518, section 3.4). The library does not check the curve.
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
