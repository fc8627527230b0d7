// Package gatewaykit runs a whole gateway, including its log, inside the process of a test
// that uses it as a client does, with a real redis-server.
package gatewaykit
