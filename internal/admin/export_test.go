package admin

// The bounds of the API.
const (
	MaxAtOnce = maxAtOnce
	MaxBodies = maxBodies
)
