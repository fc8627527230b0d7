// Package buildinfo says which build of the service is running: version, commit, Go
// release and platform.
//
// The values come from what the Go toolchain writes into every binary. A release build
// sets the version with
//
//	-ldflags "-X github.com/letswriteabook/realtime/internal/buildinfo.version=v1.2.3"
//
// The package has no state that changes and starts no goroutine.
package buildinfo
