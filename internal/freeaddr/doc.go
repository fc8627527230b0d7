// Package freeaddr finds loopback addresses for servers that are started, ended and
// started again on the same one. Safe for concurrent use. It holds the lock of one file
// in the folder of temporary files open until the process ends.
package freeaddr
