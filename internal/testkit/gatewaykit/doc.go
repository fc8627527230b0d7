// Package gatewaykit runs a whole gateway with its log inside the process of a test
// that sees it from outside, as a client does, beside a real redis-server.
package gatewaykit
