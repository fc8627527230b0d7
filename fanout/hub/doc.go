// Package hub delivers the log's events to those who follow a job: live, and from any
// point after a break.
//
// There are two sources. The log's live tail hands each new record to [Hub.Live];
// [history] reads older records from a job's ring of recent events, from a cache of pages,
// from MongoDB, or from the log. Both feed a [Subscription], a cursor that belongs to one
// job and one [Sink]. The caller decides what a sink is (a Socket.IO socket, an SSE stream)
// and how an event is encoded (an [Encoder]): nothing here depends on HTTP or on sockets.
//
// Invariants:
//
//   - A subscription hands the events of its job to its sink in ascending
//     sequence, each once, without omissions. Where the log has removed history, the
//     client is told of the gap first.
//   - A sink that is full is neither closed nor buffered without bound: its
//     subscriptions fall back to reading, and continue at the client's own pace.
//   - An event that an operator replays ([Hub.Show]) has no sequence, moves no cursor
//     and enters no ring.
//   - An event is encoded once for all clients, but for sockets that follow several
//     jobs: the encoder makes a packet for each set of jobs, with an offset in them.
//   - Erased events are not shown once the hub has read the erasure, and a catch-up
//     begins with erasures that were read at most an [ErasureLease] ago.
//   - A job is followed only while it has a subscription, and shortly after.
//
// Goroutines: [Hub.Run] owns the checking loop, and waits for the goroutines that its
// crew starts: those that open and repair rooms and read pages of history, and at most
// one reader for each sink, which runs while a subscription of that sink is behind, and
// ends with the sink.
//
// Locks are taken in one order: the hub's or a room's, a reader's or a sink's, the
// crew's or a lane's. The hub's lock is never held while a room's is waited for, so that a busy room
// delays only itself. No lock is held during a request to a store. The lock of a sink's
// owner is taken before all of them.
//
// The tests that follow a job over real sockets are in the package gateway.
package hub
