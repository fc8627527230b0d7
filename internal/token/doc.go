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
//   - The configuration, never the token, decides which algorithms are accepted: HS256
//     with a shared secret; RS, PS and ES with 256, 384 or 512 bits and EdDSA
//     with published keys. A public key is never used as a secret, and "none" is
//     refused. The type and curve of a published key must match too, and its "alg",
//     "use" and "key_ops" if present.
//   - Keys come only from the configured source. The header fields jwk, jku, x5c and
//     x5u of a token are ignored; only its kid is compared.
//   - exp, aud and iss are required. Names of claims are compared exactly: a
//     claim "EXP" is ignored.
//   - No part of a token is written to an error, a log or a label. The texts of all
//     refusals are constants.
//   - A token that is not verified costs little: its length, the keys that are
//     tried for it, and the fetches that it can cause are bounded.
//
// # Keys of an issuer
//
// The last fetched keys are used while the issuer cannot be reached; the metric of
// the last fetch shows for how long. Before the first
// fetch every token is refused with [ErrUnavailable]. A token that names an
// unknown key starts a fetch, at most one in each Config.MinRefreshInterval, and
// waits for it, so that a rotation is detected between two regular fetches.
// Unusable keys of a set are ignored.
//
// # Goroutines
//
// [New] starts none and sends no request. [Verifier.Run] fetches keys on the caller's
// goroutine until its context ends, and starts none either.
package token
