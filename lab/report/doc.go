// Package report writes the results of fault runs and drills: as a table on the terminal,
// as JSON for programs, and as Markdown for the pages in docs/qa/fault-reports.
//
// Its data are values of the rows of the fault run. The package does not judge them, and
// shows skipped rows as skipped. It starts no goroutine.
package report
