// Package drain ends many things one after the other, so that the clients behind
// them do not all reconnect elsewhere at once. It starts no goroutine.
package drain
