// Package console serves the operators' console: the page that web/console builds, which is
// embedded in the binary. The page asks the operators' API for what it shows.
//
// The package starts no goroutine.
package console
