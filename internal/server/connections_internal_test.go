package server

import "testing"

func TestConnectionBound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		limit uint64
		inUse int
		want  int
	}{
		{limit: 64, inUse: 30, want: minConnections},
		{limit: 300, inUse: 20, want: 205},
		{limit: 1024, inUse: 24, want: 744},
		{limit: 1 << 20, inUse: 0, want: 1<<20 - maxReservedFiles},
		{limit: 1<<64 - 1, inUse: 9, want: 1 << 30}, // no limit
	}
	for _, test := range tests {
		if got := connectionBound(test.limit, test.inUse); got != test.want {
			t.Errorf("of %d files, %d in use: %d connections, want %d", test.limit, test.inUse, got, test.want)
		}
	}
}
