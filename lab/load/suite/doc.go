// Package suite runs several scenarios one after the other against one deployment,
// and leaves a folder of files:
//
//	<label>-before-metrics.json             the metrics page before anything was done
//	<label>-after-<scenario>-metrics.json   after each scenario
//	<label>-after-metrics.json              after all
//	<scenario>.json                         the result of each, with its curves
//	suite-summary.json                      all of them on one page
//	report.md, report.html                  the same for people
//
// Two such folders are compared by [CompareRuns].
//
// # Invariants
//
//   - A scenario that fails does not keep the next from running.
//   - The folder of a suite that was interrupted has what was done until then.
//   - No file has a password in it.
//
// Nothing here starts a goroutine.
package suite
