// Package gateways asks all gateways on one log a question and collects their answers.
//
// Two NATS subjects carry everything, and nothing is stored:
//
//	novel.gateways.ask      a question as JSON, with a reply subject
//	novel.gateways.present  the name of a process that answers, every [PresentInterval]
//
// A process that is not presented for [presentLease] counts as gone. Each answer has the
// names of the processes that its sender counts as present, so whoever asks needs no state
// of its own: a process that some answer names and that does not answer itself is missing.
//
// The answer of a process is bounded in bytes, the answers together in number and bytes,
// and asking in time; [Answers] names what a bound has left out.
//
// [Responder.Run] starts a few goroutines, and returns after they have ended. [Ask] starts
// none.
package gateways
