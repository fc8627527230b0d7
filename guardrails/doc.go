// Package guardrails decides who may connect, how much each socket may take,
// and when an idle one has to go.
//
// Every decision is a value: it says whether the request is allowed and, when
// it is not, which limit was met and how far it is used. The package reads no
// clock and no random source, starts no goroutine, and neither logs nor does
// I/O: times and jitter come in as parameters, and enforcement is the caller's.
//
// The only state is the count of sockets in [Admission]. A slot is taken and
// given back through one value, so that no order of connects, refusals and
// disconnects lets a count drift.
package guardrails
