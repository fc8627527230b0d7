package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// TestTheConsole checks where the console is: on the operators' listener alone if there is
// one, opened without a token and by a link of another site, while the API behind it takes
// none but the operators'.
func TestTheConsole(t *testing.T) {
	t.Parallel()
	admin := testkit.FreeAddr(t)
	for name, test := range map[string]struct {
		settings map[string]string
		console  string // empty: the public port
		public   int
	}{
		"on the public port":        {nil, "", http.StatusOK},
		"on the operators' address": {map[string]string{"ADMIN_ADDR": admin}, "http://" + admin, http.StatusNotFound},
	} {
		n := startNeeding(t, test.settings)
		if test.console == "" {
			test.console = n.url
		}
		visit := func(address string) *http.Response {
			t.Helper()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Sec-Fetch-Site", "cross-site")
			request.Header.Set("Sec-Fetch-Mode", "navigate")
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			return response
		}
		if got := visit(n.url + "/internal/console/"); got.StatusCode != test.public {
			t.Errorf("%s: the public port answers %s", name, got.Status)
		}
		got := visit(test.console + "/internal/console") // follows the redirect
		policy := got.Header.Get("Content-Security-Policy")
		if got.StatusCode != http.StatusOK || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %s %v", name, got.Status, got.Header)
		}
		if got := visit(test.console + "/internal/api/v1/figures"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the API answers %s without a token", name, got.Status)
		}
	}
}
