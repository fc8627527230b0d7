// Package messaging is the contract between everything that publishes, stores
// and delivers events: the envelope a worker publishes, the record the log
// keeps, the position a reader resumes from, the payload a client receives, and
// the codes it is refused with.
//
// Data comes in as bytes from a publisher ([Catalogue.Decode]) and goes out as
// bytes to a client ([Catalogue.AppendPayload]). In between it travels as a
// [Record], whose Body is the envelope exactly as it was published.
//
// The package holds values and pure functions only: it starts no goroutine,
// reads no clock, and imports no other package of this project and no driver.
package messaging
