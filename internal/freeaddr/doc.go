// Package freeaddr finds loopback addresses for servers that are started, ended and
// started again on the same one. Safe for concurrent use. It listens on one port, which
// nobody is to connect to, until the process ends.
package freeaddr
