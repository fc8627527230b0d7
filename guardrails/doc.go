// Package guardrails decides who may connect, what each client may do, how much
// and how fast it may take, and when it has to go.
//
// # Data flow
//
// Every decision is a value: it says whether the request is allowed and, when
// it is not, which limit was exceeded, how much of it is used, and when to retry. The
// package reads no clock and no random source, starts no goroutine, and neither
// logs nor does I/O: times and jitter come in as parameters, and enforcement,
// counting and logging are the caller's.
//
//	Origins, ClientAddress, Grant      who it is, and what that allows
//	Admission → Slot                   one more socket, for as long as it is open
//	Requests → RequestSlot             one more request over REST, likewise
//	Quotas → Quota                     how often the client of a connection may send
//	Intakes → Intake                   how fast the bytes of a connection are read
//	Keeping                            whose sessions are kept after a connection
//	Limits                             everything that needs no memory
//
// # Invariants
//
//   - [Admission], [Requests], [Quotas], [Intakes] and [Keeping] have all the state, with
//     what they hand out. A socket or a request takes and releases its part of the counts
//     through one value, its [Slot] or [RequestSlot], so that no order of connects,
//     refusals, disconnects and panics makes a count wrong. The state of clients that
//     have disconnected is bounded in number or in bytes.
//   - A refusal changes nothing: it takes no slot and uses nothing of a rate.
//   - A limit of zero is off. In a dry run the limits refuse nothing, and the counts
//     are those of the clients that are connected.
//   - The identity of a client never depends on bytes that the client could have
//     chosen: an address is taken only from a trusted proxy, and a [Grant] only from
//     verified claims.
//
// # Concurrency
//
// The types with state, their slots, quotas and intakes may be used concurrently; each has
// a lock, under which nothing of the caller's is called. The other values are not
// changed once they are made, except a [Bucket], which belongs to its owner.
package guardrails
