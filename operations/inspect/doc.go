// Package inspect looks at the log for operators: what it holds and how full it is
// ([StatusOf]), and which way one event has gone ([WayOf]).
//
// Data comes from the log ([Log]) and, where there are read models, from MongoDB
// ([History]). Nothing is written, no consumer is made, and no stream is changed.
// A search for an event by its id reads the log once from end to end, a page at a
// time: the log has no index by id.
//
// The package starts no goroutines.
package inspect
