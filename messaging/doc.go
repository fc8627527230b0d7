// Package messaging is the contract between the programs that publish, store and
// deliver events: the envelope that a worker publishes, the record that the log
// keeps, the position from which a reader resumes, the payload that a client
// receives, and the codes of refusals.
//
// # Data flow
//
// Data comes in as bytes from a publisher ([Catalogue.Decode]) and goes out as
// bytes to a client ([Catalogue.AppendPayload], [Catalogue.AppendItem]). In
// between it is a [Record], whose Body is the envelope exactly as it was
// published. The kinds of events are data as well: a built-in [Catalogue], which a
// file can extend. The folder schemas contains the JSON Schema of each message.
// The code checks only what a schema cannot express, such as lengths in bytes.
//
// # Invariants
//
//   - Decode accepts one JSON object in UTF-8 whose jobId [ValidateJobID]
//     accepts. It refuses everything else with a [Rejection], and equal bytes
//     with equal rejections.
//   - The values of an event are copied, and never decoded and encoded again:
//     clients receive numbers, escapes and the order of fields as the worker
//     wrote them.
//   - [Token] and [ParseToken] map jobIds and subject tokens one to one.
//
// # Goroutines
//
// The package contains values and pure functions only: it starts no goroutine and
// reads no clock. Its values do not change, except by [Catalogue.Replace], and
// everything may be used concurrently. It imports no other package of this project
// and no driver.
package messaging
