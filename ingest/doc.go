// Package ingest brings events into the log: from Redis pub/sub and over HTTP.
//
// # Data flow
//
//	Redis ──▶ listener ─▶ decode ─┬─▶ budget ─┐                   ┌─▶ Log.AppendBatch ─┬─▶ receipts ──▶ Redis
//	                      refused └─▶ letters ┼─▶ queue ─▶ writer ┼─▶ Log.Append ──────┤
//	HTTP ───▶ body ─────▶ decode ───▶ budget ─┘                   └─▶ Log.DeadLetter   └─▶ answer ────▶ HTTP
//	             └─ refused in the answer
//
// Bytes come from the channel [messaging.EventsChannel], or in a request that
// [Ingest.ServePublish] serves, and leave as records through the [Log] that the
// caller provides. Each event from Redis that carries an id has a
// [messaging.Receipt] published on [messaging.ReceiptsChannel] once the record is
// durable; for an event that was published over HTTP, the response is the receipt.
//
// # Invariants
//
//   - Per job one write is in flight, of one event or of several in their order,
//     whether they came from Redis or over HTTP: the order in which Redis delivered
//     them, and in which they stand in a request's body. The events of all jobs that
//     arrived while a write was under way are the next write.
//   - Every event that was read from Redis is appended or dead-lettered. When the log is
//     slow or away, the waiting events are bounded in number and bytes; at the bound,
//     reading from Redis pauses until there is room, which is counted and logged.
//     Events are dropped only by a stop whose drain deadline passes: they are
//     counted, logged and returned by [Ingest.Run].
//   - An event from Redis that can never be accepted is dead-lettered once, with
//     its bytes, and does not hold up its neighbours.
//   - An event with an id that the log refuses has a [messaging.Refusal] published
//     on the same channel once its dead letter is stored.
//   - A receipt is never sent before its record is durable. It may be missing:
//     the producer then publishes again and is answered as a duplicate.
//   - An answer over HTTP says of each event whether the log has it, was never
//     given it, or did not confirm it in time. Requests wait for a bounded time,
//     and what they hold is bounded in number and bytes.
//
// Redis pub/sub loses what is published while no subscription is open. Every
// subscription after the first therefore ends a gap, which is counted and logged with its
// length and, if Redis counts publishes, the largest number of messages that can have been
// missed. Producers close the gap by repeating what got no receipt.
//
// # Goroutines
//
// [New] starts nothing. [Ingest.Run] reads Redis on its own goroutine and owns
// all others: two that send pings and ask Redis for its counts per connection (end with it),
// the writer (ends when the queue is closed and empty), one per job with an event
// that is stored by itself (ends with it), one that publishes receipts (ends when its
// queue is closed). It returns after all of them have. Requests run on
// the goroutines of the caller's HTTP server, before, during and after Run; only
// during it are they taken in.
package ingest
