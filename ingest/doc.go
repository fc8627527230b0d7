// Package ingest brings events from Redis pub/sub into the log.
//
// # Data flow
//
//	Redis ──▶ listener ──▶ decode ──▶ budget ──▶ lane of the job ──▶ Log.Append ──▶ receipts ──▶ Redis
//	                          └─ refused ─▶ budget ─▶ dead-letter lane ─▶ Log.DeadLetter
//
// Bytes come from the channel [messaging.EventsChannel] and leave as records
// through the [Log] that the caller provides; for each event that carries an id
// a [messaging.Receipt] goes out on [messaging.ReceiptsChannel] once the record
// is durable.
//
// # Invariants
//
//   - Per job one append is in flight, in the order in which Redis delivered the
//     events; across jobs there are as many as there are active jobs.
//   - What was read from Redis is appended or dead-lettered. When the log is
//     slow or away, what waits is bounded in events and bytes; at the bound the
//     reading from Redis stops until there is room, which is counted and logged.
//     Nothing is dropped, but for a stop whose drain deadline passes: that is
//     counted, logged and returned by [Ingest.Run].
//   - An event that can never be accepted is dead-lettered once, with its bytes,
//     and does not hold up its neighbours.
//   - A receipt is never sent before its record is durable. It may be missing:
//     the producer then publishes again and is answered as a duplicate.
//
// Redis pub/sub itself loses what is published while nobody listens. Every
// subscription after the first is therefore a gap, counted and logged with the
// time that nothing was heard; producers close it by repeating what got no
// receipt.
//
// # Goroutines
//
// [New] starts nothing. [Ingest.Run] reads Redis on its own goroutine and owns
// all others: one that sends pings per subscription (ends with it), one per
// active job (ends when its queue is empty), one that publishes receipts (ends
// when its queue is closed). It returns after all of them have.
package ingest
