// Package outage says when something fails and works again, in two lines of the log for an
// outage, however often it comes and goes meanwhile.
//
// [Outage] is the state, for callers that write the lines themselves; [Book] writes them. A
// Book writes the last line on the goroutine of a timer, which is pending for at most [Calm]
// after a success.
package outage
