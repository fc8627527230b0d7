// Package freeaddr finds loopback addresses for servers that are started, ended and
// started again on the same one. Safe for concurrent use; it holds nothing open.
package freeaddr
