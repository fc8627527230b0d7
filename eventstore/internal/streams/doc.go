// Package streams creates the streams of the log and of what is kept beside it, and brings
// the settings of existing ones up to date, unless a restore is under way.
package streams
