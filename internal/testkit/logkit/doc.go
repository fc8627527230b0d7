// Package logkit provides a test with a log of its own, on a NATS server inside the test's
// process. Both end with the test, as do the goroutines of the server and the connection.
package logkit
