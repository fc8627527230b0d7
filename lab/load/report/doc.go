// Package report writes what a run found for people: lines for a terminal, a
// Markdown summary, and one HTML page with plots that needs nothing else, so that
// it can be read offline and sent around.
//
// Its data comes from package suite as values, and goes into the suite's folder.
// The package measures and judges nothing, and starts no goroutine.
package report
