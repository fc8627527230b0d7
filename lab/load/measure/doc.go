// Package measure has the instruments of the load-test harness: the latencies of
// deliveries, what each client lost or got twice, how deliveries are spread over
// time, and how much of the machine the harness itself took.
//
// Its data comes from the scenarios, on the goroutines of their sockets, and goes
// into results and reports as plain values.
//
// # Invariants
//
//   - A latency is counted from when the event was due to be published, not from
//     when the harness came around to it. A producer that is held up makes
//     latencies longer and never leaves them out (no coordinated omission).
//   - What a client lost or got twice is counted by the number that the producer
//     gave an event; its order by the sequence that the log gave it.
//   - A histogram keeps three significant digits (HdrHistogram).
//
// Nothing here starts a goroutine but [Watch], whose [Watcher.Stop] ends it.
package measure
