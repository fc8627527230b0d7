// Package token decides whether a bearer token is genuine, and what it grants.
//
// A token is a signed JWT (RFC 7519, RFC 7515). It comes from a client, through
// [FromRequest] or the handshake of a socket, and goes out of [Verifier.Verify]
// as [Claims]. What the claims allow is decided elsewhere.
//
//	client ──token──▶ Verify ──▶ form ──▶ key ──▶ signature ──▶ claims ──▶ Claims
//	                                       ▲
//	issuer ──JWKS over HTTPS──▶ Run ───────┘   or one shared secret
//
// # Invariants
//
//   - The configuration decides which algorithms count, never the token: HS256
//     with a shared secret; RS, PS and ES with 256, 384 or 512 bits and EdDSA
//     with published keys. A public key is never used as a secret, and "none" is
//     no algorithm. Of a published key, its type and curve must fit as well, and
//     its "alg", "use" and "key_ops" where it has them.
//   - Keys come from the configured place alone. What a token says about keys
//     (jwk, jku, x5c, x5u) is not read; its kid is compared and nothing else.
//   - exp, aud and iss must be there. Names of claims are compared exactly: a
//     claim "EXP" means nothing.
//   - No part of a token gets into an error, a log or a label. The texts of all
//     refusals are constants.
//   - A token costs little until it has proved itself: its length is bounded, so
//     are the keys it is tried with, and what it can make this process fetch.
//
// # Keys of an issuer
//
// The last keys that were fetched stay in force while the issuer cannot be
// reached; the metric of the last fetch tells for how long. Before the first
// fetch every token is refused with [ErrUnavailable]. A token that names an
// unknown key starts a fetch, at most one in each Config.MinRefreshInterval, and
// waits for it: that is how a rotation is noticed between two regular fetches.
// Of a set, keys that cannot be used are left out; the others count.
//
// # Goroutines
//
// [New] starts none and sends no request. [Verifier.Run] fetches keys on the caller's
// goroutine until its context ends, and starts none either.
package token
