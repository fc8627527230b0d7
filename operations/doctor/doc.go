// Package doctor judges what was found out about an installation: the settings, the
// servers that it needs, the streams, clocks, the disk and the limits of the system.
//
// It asks nobody. What is to be judged comes in as values, from internal/server, which
// has the connections; what comes out is a [Report], a line for each thing with what
// was found and what to do.
//
// # What is recommended
//
// The functions here are the only place that knows. A line is [Fail] when the service
// cannot run so, or would lose what it promises to keep; [Warn] when it runs, and
// something that an operator should know of is not as it should be.
package doctor
