package admin

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestRoles: a token counts as a bearer's only. Without tokens a request of this machine
// counts on the conditions of the other operators' pages, and any address is a Host only
// on a listener of the operators.
func TestRoles(t *testing.T) {
	t.Parallel()
	const operate, read = "operate-0123456789", "read-0123456789ab"
	tokens := Access{OperateToken: operate, ReadToken: read}
	local, reached := Access{Local: true}, Access{Reached: true}
	for name, test := range map[string]struct {
		access       Access
		remote, host string // this machine by default
		header       http.Header
		want         Role
	}{
		"the token to operate":             {access: tokens, header: http.Header{"Authorization": {"Bearer " + operate}}, want: RoleOperate},
		"the token to read":                {access: tokens, header: http.Header{"Authorization": {"Bearer " + read}}, want: RoleRead},
		"a token without a scheme":         {access: tokens, header: http.Header{"Authorization": {operate}}},
		"a token of another scheme":        {access: tokens, header: http.Header{"Authorization": {"Basic " + operate}}},
		"no token":                         {access: tokens},
		"an empty token":                   {access: local, header: http.Header{"Authorization": {"Bearer "}}},
		"this machine":                     {access: local, want: RoleOperate},
		"this machine, IPv6":               {access: local, remote: "[::1]:5000", host: "[::1]:3001", want: RoleOperate},
		"this machine by another address":  {access: local, host: "10.0.0.7:3001"},
		"this machine through a proxy":     {access: local, header: http.Header{"Via": {"1.1 proxy"}}},
		"another machine":                  {access: local, remote: "10.0.0.7:5000"},
		"another port's page":              {access: local, header: http.Header{"Origin": {"http://localhost:5173"}}},
		"another machine that reaches it":  {access: reached, remote: "10.0.0.7:5000", host: "10.0.0.9:9000", want: RoleOperate},
		"a name that was made to resolve":  {access: reached, host: "evil.example"},
		"a page of another site":           {access: reached, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"reached through a proxy":          {access: reached, header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}},
		"the zero value lets in no caller": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := httptest.NewRequest(http.MethodGet, Prefix+"/jobs", nil)
			request.RemoteAddr, request.Host = cmp.Or(test.remote, "127.0.0.1:5000"), cmp.Or(test.host, "localhost:3001")
			for name, values := range test.header {
				request.Header[name] = values
			}
			if got, _ := test.access.role(request); got != test.want {
				t.Errorf("role %q, want %q", got, test.want)
			}
		})
	}
}
