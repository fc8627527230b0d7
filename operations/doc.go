// Package operations is what the operators' commands run on: the log and the read
// models, opened without a gateway.
//
// [Open] returns an [Operator], whose methods each do what one command does. The rules
// of an operation are in the packages below this one; here they are given the log, the
// read models and, where an operation has several steps, the lease that keeps it from
// running twice. Errors and results are those of the packages below.
package operations
