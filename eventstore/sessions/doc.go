// Package sessions keeps the newest state of each client session in the key-value bucket
// NOVEL_SESSIONS beside the log, so that a session can continue after its connection or its
// gateway broke, also on another gateway.
//
// [Open] starts no goroutine. [Store.Run] starts one for each save in flight, and returns
// after they have ended.
package sessions
