// Package sample is a worker for the development stack: it publishes the making
// of some novels, over and over, as any worker would.
//
// Data goes out through Redis. Nothing runs in it but [Run], until its context
// ends.
package sample
