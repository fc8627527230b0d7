// Package backends opens connections to NATS, Redis and MongoDB as the settings name
// them, for the gateway and for the operators' commands.
//
// The functions return what they open; the caller closes it.
package backends
