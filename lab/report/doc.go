// Package report is what a fault run leaves behind: the result of each row, as a
// table on the terminal, as JSON for programs, and as Markdown for the pages in
// docs/qa/fault-reports.
//
// Its data comes from the rows of the fault run and is values; the package judges
// nothing, and says of a row that was skipped that it was. It starts no goroutine.
package report
