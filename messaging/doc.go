// Package messaging is the contract between everything that publishes, stores
// and delivers events: the envelope a worker publishes, the record the log
// keeps, the position a reader resumes from, the payload a client receives, and
// the codes it is refused with.
//
// # Data flow
//
// Data comes in as bytes from a publisher ([Catalogue.Decode]) and goes out as
// bytes to a client ([Catalogue.AppendPayload], [Catalogue.AppendItem]). In
// between it travels as a [Record], whose Body is the envelope exactly as it was
// published. Which kinds of events there are is data too: a [Catalogue], built
// in and extended by a file. The folder schemas holds the JSON Schema of
// everything on the wire; what is checked of an envelope beside its schema is
// what a schema cannot say, such as lengths in bytes.
//
// # Invariants
//
//   - Decode accepts one JSON object in UTF-8 whose jobId [ValidateJobID]
//     accepts. It refuses everything else with a [Rejection], and the same
//     bytes always with the same one.
//   - Values of an event are never decoded and encoded again: numbers, escapes
//     and the order of fields reach the client as the worker wrote them.
//   - [Token] and [ParseToken] map jobIds and subject tokens one to one.
//
// # Goroutines
//
// The package holds values and pure functions only: it starts no goroutine and
// reads no clock, nothing in it changes after it was made, and everything may be
// used concurrently. It imports no other package of this project and no driver.
package messaging
