// Package revocations keeps which tokens, keys and subjects were revoked, beside the log in
// the stream NOVEL_REVOCATIONS, so that every gateway refuses them and a restart forgets
// none.
//
// [Open] reads what was revoked, before the first token is checked. [Store.Run] follows
// what is revoked from then on, and is the one goroutine of the package.
package revocations
