// Package jet makes the requests to JetStream that the packages of the event store
// share: reads that are complete or fail, errors that say whether a retry helps, and the
// pause between two attempts.
package jet
