package server

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOperatorsPagesAreForOperators(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		remote string
		host   string // localhost:3001 by default
		header http.Header
		token  string
		want   int
	}{
		{name: "this machine", remote: "127.0.0.1:5000", want: http.StatusOK},
		{name: "this machine, IPv6", remote: "[::1]:5000", want: http.StatusOK},
		{name: "this machine, mapped", remote: "[::ffff:127.0.0.1]:5000", want: http.StatusOK},
		{name: "another machine", remote: "10.0.0.7:5000", want: http.StatusUnauthorized},
		{name: "through a proxy here", remote: "127.0.0.1:5000", header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}, want: http.StatusUnauthorized},
		{name: "through a proxy that says so otherwise", remote: "127.0.0.1:5000", header: http.Header{"Forwarded": {"for=10.0.0.7"}}, want: http.StatusUnauthorized},
		{name: "with the token", remote: "10.0.0.7:5000", header: http.Header{"Authorization": {"Bearer secret"}}, token: "secret", want: http.StatusOK},
		{name: "with the token, through a proxy", remote: "127.0.0.1:5000", header: http.Header{"Authorization": {"Bearer secret"}, "Via": {"1.1 p"}}, token: "secret", want: http.StatusOK},
		{name: "with another token", remote: "10.0.0.7:5000", header: http.Header{"Authorization": {"Bearer guess"}}, token: "secret", want: http.StatusUnauthorized},
		{name: "an empty token is none", remote: "10.0.0.7:5000", header: http.Header{"Authorization": {"Bearer "}}, want: http.StatusUnauthorized},
		{name: "by another name", remote: "127.0.0.1:5000", host: "evil.example", want: http.StatusUnauthorized},
		{name: "by address", remote: "[::1]:5000", host: "[::1]:3001", want: http.StatusOK},
		{name: "from a page of elsewhere", remote: "127.0.0.1:5000", header: http.Header{"Origin": {"http://evil.example"}}, want: http.StatusUnauthorized},
		{name: "from a page of here", remote: "127.0.0.1:5000", header: http.Header{"Origin": {"http://localhost:5173"}}, want: http.StatusOK},
		{name: "from a page of another site", remote: "127.0.0.1:5000", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: http.StatusUnauthorized},
		{name: "from a page of another port", remote: "127.0.0.1:5000", header: http.Header{"Sec-Fetch-Site": {"same-site"}}, want: http.StatusUnauthorized},
		{name: "from the same page", remote: "127.0.0.1:5000", header: http.Header{"Sec-Fetch-Site": {"same-origin"}}, want: http.StatusOK},
		{name: "from the address bar", remote: "127.0.0.1:5000", header: http.Header{"Sec-Fetch-Site": {"none"}}, want: http.StatusOK},
		{name: "this machine where there is a token", remote: "127.0.0.1:5000", token: "secret", want: http.StatusUnauthorized},
		{name: "no address", remote: "@", want: http.StatusUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			request.RemoteAddr, request.Host = test.remote, cmp.Or(test.host, "localhost:3001")
			for name, values := range test.header {
				request.Header[name] = values
			}
			answer := httptest.NewRecorder()
			page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
			operators{token: test.token, local: test.token == ""}.only(page).ServeHTTP(answer, request)
			if answer.Code != test.want {
				t.Errorf("status %d, want %d", answer.Code, test.want)
			}
		})
	}
}
