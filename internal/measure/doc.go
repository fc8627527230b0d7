// Package measure has the one form of the histograms of durations, so that the stages of
// an event's way can be compared and added up, whichever package measures them.
//
// It starts no goroutine and imports no package of the service.
package measure
