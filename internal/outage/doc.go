// Package outage says when something fails and works again, in two lines of the log for an
// outage, however often it comes and goes meanwhile.
//
// [Outage] is the state, for those who say it themselves; [Book] writes the lines. Neither
// starts a goroutine; a timer of a Book is pending for at most [Calm] after a success.
package outage
