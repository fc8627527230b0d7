// Command realtime-dev runs the whole service in one process, for development:
// the gateway, JetStream on disk, a Redis-protocol server and a MongoDB-protocol
// server, with a sample job that publishes events.
//
// The servers inside serve development only. The MongoDB-protocol one reads a
// whole collection for nearly every question.
package main
