package token_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/letswriteabook/realtime/internal/token"
)

func TestFromRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers []string
		want    string
	}{
		{"no header", nil, ""},
		{"a bearer token", []string{"Bearer a.b.c"}, "a.b.c"},
		{"the scheme in capitals", []string{"BEARER a.b.c"}, "a.b.c"},
		{"spaces around", []string{"bearer   a.b.c  "}, "a.b.c"},
		{"another scheme", []string{"Basic a.b.c"}, ""},
		{"a scheme that begins alike", []string{"Bearers a.b.c"}, ""},
		{"no scheme", []string{"a.b.c"}, ""},
		{"no token", []string{"Bearer"}, ""},
		{"an empty token", []string{"Bearer "}, ""},
		{"an empty header", []string{""}, ""},
		{"two headers", []string{"Bearer a.b.c", "Bearer d.e.f"}, ""},
		{"a token and another scheme", []string{"Basic x", "Bearer a.b.c"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/ws?token=q.q.q&access_token=q.q.q&authorization=Bearer+q.q.q", nil)
			r.AddCookie(&http.Cookie{Name: "token", Value: "q.q.q"})
			r.Header["Authorization"] = test.headers
			if got := token.FromRequest(r); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
