// Package publisher publishes events on Redis without loss: it keeps and repeats each
// event until a receipt confirms that the log has it.
//
// # Data flow
//
//	Publish ─▶ check ─▶ outbox (memory, and a journal on disk) ─▶ courier ─▶ Redis, or HTTP
//	                        ▲                                                  │
//	                        └────────────── receipt, or a refusal ─────────────┘
//
// # Invariants
//
//   - An event that [Publisher.Publish] accepted is repeated until it is confirmed
//     or refused, for as long as [Publisher.Run] runs; with a journal, also by the
//     next publisher on its folder. The log stores a repetition once, by the
//     event's id.
//   - Events of one job are stored in the order in which they were accepted: the
//     next one is sent after the receipt of the one before, so that a repetition
//     never arrives after its successor. Events of different jobs do not wait for
//     each other. One job therefore has at most one event per round trip; spread
//     events that need no order over several jobs.
//   - The waiting events are bounded in number and bytes. At the bound Publish
//     waits, and [Config].OnFull is called.
//   - Nothing is published while the publisher is not subscribed to the receipts.
//
// A refused event has no receipt. Over HTTP the answer has the reason. Over Redis,
// the gateway publishes a refusal on the receipts channel if the log has the id with
// another body; other refusals have no answer, and would hold up the job for ever.
// Therefore Publish makes all checks of a gateway before it accepts an event, and
// [Config].GiveUpAfter bounds the rest.
//
// # Goroutines
//
// [New] starts none. [Publisher.Run] starts one that sends, one that receives the
// receipts, and one for each request over HTTP, at most [maxRequests]. It returns
// after all of them have ended. OnReceipt and OnRejected are called on these
// goroutines, and OnFull on the caller's; they may be called concurrently, and must
// not wait for the publisher.
package publisher
