// Package drain ends many things one after the other, so that the clients behind
// them do not all come back elsewhere at once. It starts no goroutine.
package drain
