//go:build race

package e2e_test

// raceDetector: the tests run under the race detector, and so does the gateway.
const raceDetector = true
