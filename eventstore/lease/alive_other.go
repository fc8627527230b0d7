//go:build !unix

package lease

// alive takes every process for one that exists: its lease tells.
func alive(int) bool { return true }
