// Package publisher is a producer that loses nothing: it publishes events on
// Redis, and keeps each one until its receipt says that the log has it.
//
// # Data flow
//
//	Publish ─▶ check ─▶ outbox (memory, and a journal on disk) ─▶ courier ─▶ Redis, or HTTP
//	                        ▲                                                  │
//	                        └────────────── receipt, or a refusal ─────────────┘
//
// # Invariants
//
//   - An event that [Publisher.Publish] took in is repeated until it is confirmed
//     or refused, for as long as [Publisher.Run] runs; with a journal, in the next
//     life of the producer too. The log stores a repeat once, by the event's id.
//   - Events of one job are stored in the order in which they were taken in: one
//     is under way, and the next follows its receipt, so that a repeat never comes
//     behind its successor. Events of different jobs do not wait for each other.
//     A job's rate is therefore that of round trips; spread what needs no order
//     over jobs.
//   - What waits is bounded in events and bytes. At the bound Publish waits, and
//     [Config].OnFull is told.
//   - Nothing is published while the receipts are not subscribed to.
//
// An event that a gateway refuses has no receipt. Over HTTP the refusal is the
// answer. Over Redis, an event whose id the log has with another body is answered
// with a refusal on the receipts channel; any other is met by silence, which would
// hold up the job for ever. So everything that a gateway checks is checked before an
// event is taken in, and [Config].GiveUpAfter bounds the rest.
//
// # Goroutines
//
// [New] starts none. [Publisher.Run] starts one that sends, one that hears the
// receipts, and one for each request over HTTP, at most [maxRequests]; it returns
// after all of them have. OnReceipt and OnRejected run on these and OnFull on
// the caller's; they may be called concurrently, and must not wait for the publisher.
package publisher
