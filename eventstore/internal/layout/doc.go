// Package layout is how the log lies in JetStream: the names of its streams, the
// subjects of jobs, and the form of a stored record.
package layout
