// Package contain keeps a panic in one goroutine from ending the process.
//
// It is for goroutines that handle the input of others: a panic is a defect, and must
// affect only the client or the record that caused it. The package starts no goroutine.
package contain
