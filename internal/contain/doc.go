// Package contain keeps a panic in one goroutine from ending the process.
//
// It is for goroutines that handle what others send: what they panic over is a
// defect, and must cost only the client or the record that caused it. The
// package starts no goroutine.
package contain
