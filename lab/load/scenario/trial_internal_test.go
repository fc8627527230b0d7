package scenario

import "testing"

// Sockets to a gateway on this machine come from further addresses when the ports
// of one run out; to any other, the system chooses.
func TestLocalAddress(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		gateway string
		n       int
		want    string
	}{
		{"http://127.0.0.1:3001", 0, ""},
		{"http://127.0.0.1:3001", perAddress - 1, ""},
		{"http://127.0.0.1:3001", perAddress, "127.0.0.2"},
		{"http://127.0.0.1:3001", 3 * perAddress, "127.0.0.4"},
		{"http://localhost:3001", perAddress, ""},
		{"http://[::1]:3001", perAddress, ""},
		{"http://10.0.0.1:3001", perAddress, ""},
	} {
		got := ""
		if address := localAddress(test.gateway, test.n); address != nil {
			got = address.IP.String()
		}
		if got != test.want {
			t.Errorf("socket %d to %s comes from %q, want %q", test.n, test.gateway, got, test.want)
		}
	}
}
