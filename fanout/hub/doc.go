// Package hub delivers the log's events to those who follow a job: live, and from any
// point after a break.
//
// Data comes in twice. The log's live tail hands each new record to
// [Hub.Live]; [history] reads older ones from the hub's ring of recent events,
// from MongoDB, or from the log. Both end in a [Subscription], a cursor that
// belongs to one job and one [Sink]. What a sink is (a Socket.IO socket, an SSE
// stream) and how an event looks on the wire (an [Encoder]) are the caller's: nothing
// here depends on HTTP or on sockets.
//
// Invariants:
//
//   - A subscription hands the events of its job to its sink in ascending
//     sequence, each once, without leaving one out. Where history is gone, it
//     says so with a gap before it goes on.
//   - A sink that is full is neither dropped nor buffered without end: its
//     subscriptions fall back to reading, and go on at the client's own pace.
//   - What an operator shows once more ([Hub.Show]) has no sequence, moves no cursor
//     and enters no ring: it is beside all of the above.
//   - An event is encoded once, whoever gets it.
//   - Nothing is shown of what is known to be erased, and a catch-up goes by what was
//     known an [ErasureLease] ago at the latest.
//   - A job is followed only while somebody here is interested in it, and shortly
//     after.
//
// Goroutines: [Hub.Run] owns the checking loop, and waits for all others, which
// its crew starts: those that open and repair rooms and read pages of history,
// and at most one reader a sink, which lives while a subscription of that sink
// is behind, and ends with the sink.
//
// Locks are taken in one order: hub, room, reader or sink, crew. None is held during a
// request to a store. The lock of a sink's owner comes before all of them.
//
// The tests that follow a job over real sockets are in the package gateway.
package hub
