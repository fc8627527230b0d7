// Package doctor judges what was found in an installation: the settings, the servers
// that it needs, the streams, clocks, the disk and the limits of the system.
//
// It asks no server. Package examine does, and passes what it found as values; the
// result is a [Report], with one line for each thing: what was found and what to do.
//
// # What is recommended
//
// The recommendations are in this package only. A line is [Fail] when the service cannot
// run so, or would lose what it promises to keep; [Warn] when it runs, and an operator
// should know of something that is not as recommended.
package doctor
