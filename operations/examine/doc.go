// Package examine asks the servers of an installation what package doctor judges: Redis,
// MongoDB, NATS, the streams of the log, addresses, disk and limits. It changes nothing,
// and each question has a time limit.
package examine
