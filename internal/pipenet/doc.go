// Package pipenet is a network in memory for tests: its connections are
// [net.Pipe]s, which wait on channels only, so that a server and its clients can
// run inside a testing/synctest bubble where time costs nothing.
//
// Data flows from Dial's end to Accept's and back, as it is written; nothing is
// buffered. It starts no goroutines.
package pipenet
