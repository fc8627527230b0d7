// Package drills has the recovery drills, which operators rehearse before a failure
// happens. A drill damages a system in one way, lets it recover as the runbook says, and
// reports how long that took and whether anything was lost.
//
// A drill runs on a throw-away system, which the frame of lab/faults starts
// through lab/processes: real processes on loopback, in a folder that goes with
// them. Or on a system that runs ([Running]): it says beforehand what it will do to
// that ([Drill.Plan]), and takes it back. Around the fault runs traffic whose every
// event is written down outside the system, and judged by lab/oracle; what comes
// out is a report.Drill.
//
//	preconditions   checked, and told; one that fails ends the drill
//	traffic         a producer with an outbox, clients that resume
//	fault           what the drill is called after
//	recovery        by itself, or by what an operator does; timed
//	verdict         from the files of the oracle, and the drill's own
//
// # Invariants
//
//   - A drill that failed to run, or that could not, has not passed.
//   - Everything that a drill started ends with it, also when it is interrupted.
//   - What a drill did to a system that it did not start is undone, or said not to be.
//
// [Run] owns all goroutines; they have ended when it returns.
package drills
