// Package shares tells the gateways on one log how many connections the others hold, by way
// of the key-value bucket NOVEL_GATEWAYS.
//
// [Open] starts no goroutine, and [Exchange.Run] needs no other.
package shares
