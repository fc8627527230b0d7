// Package logkit gives a test a log of its own, on a NATS server inside the test's
// process. Both end with the test; their goroutines are the server's and the
// connection's.
package logkit
