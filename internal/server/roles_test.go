package server_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// changes calls each for every change of the OpenAPI document, with a body that it takes.
func (o *operating) changes(each func(method, path, body string)) {
	o.t.Helper()
	var described document
	o.read("/openapi.json", &described)
	found := 0
	for path, methods := range described.Paths {
		for method, operation := range methods {
			if operation.Role == "read" && method == "get" {
				continue
			}
			found++
			query := make(url.Values)
			for _, parameter := range operation.Parameters {
				if parameter.Required {
					query.Set(parameter.Name, sampleQuery[parameter.Name])
				}
			}
			each(strings.ToUpper(method), api+path+"?"+query.Encode(), cmp.Or(sampleBody[path], "{}"))
		}
	}
	if found < 6 {
		o.t.Errorf("the document has %d changes", found)
	}
}

// notes returns how many notes of changes the audit trail has.
func (o *operating) notes() int {
	o.t.Helper()
	var trail struct{ Items []json.RawMessage }
	o.read("/audit", &trail)
	return len(trail.Items)
}

// TestRolesOfTokens: the scope of a client's token gives it a role. The role read reads and
// changes nothing over any route; a token without a scope, or that is revoked, has no role.
// The note of a change names the subject.
func TestRolesOfTokens(t *testing.T) {
	t.Parallel()
	o := startOperating(t, map[string]string{"ADMIN_READ_SCOPE": "realtime:read", "ADMIN_OPERATE_SCOPE": "realtime:operate"})
	issued := time.Now().Add(-time.Minute)
	none := issue(t, "client", "none", "", issued)
	reader := issueScoped(t, "support", "reader", "", "publish realtime:read", issued)
	operator := issueScoped(t, "on-call", "operator", "", "realtime:operate", issued)
	for name, test := range map[string]struct {
		token  string
		status int
	}{
		"without a scope": {none, http.StatusUnauthorized}, "read": {reader, http.StatusOK}, "operate": {operator, http.StatusOK},
		"another issuer's": {strings.Replace(reader, ".", ".e", 1), http.StatusUnauthorized},
	} {
		if status, answer := o.ask(http.MethodGet, api+"/jobs", test.token, "", nil); status != test.status {
			t.Errorf("%s: %d %s, want %d", name, status, answer, test.status)
		}
	}
	o.changes(func(method, target, body string) {
		for _, token := range []string{reader, readToken} {
			if status, answer := o.ask(method, target, token, body, nil); status != http.StatusForbidden || !strings.Contains(answer, `"role"`) {
				t.Errorf("%s %s with the role read: %d %s", method, target, status, answer)
			}
		}
		if status, answer := o.ask(method, target, none, body, nil); status != http.StatusUnauthorized {
			t.Errorf("%s %s without a role: %d %s", method, target, status, answer)
		}
	})
	if notes := o.notes(); notes != 0 {
		t.Errorf("%d changes were noted", notes)
	}
	if status, answer := o.ask(http.MethodPost, api+"/sockets/close", operator, `{"id":"none"}`, nil); status != http.StatusOK {
		t.Errorf("a change with the role operate: %d %s", status, answer)
	}
	status, answer := o.ask(http.MethodPost, api+"/erasures", operator, `{"jobId":"b","reason":"a test","dryRun":true}`, nil)
	var begun piece
	if err := json.Unmarshal([]byte(answer), &begun); err != nil || status != http.StatusAccepted || begun.Subject != "on-call" {
		t.Errorf("long work: %d %s (%v)", status, answer, err)
	}
	o.ends(begun, "done")
	o.until("the end of the work is noted with who asked for it", func() error {
		_, answer := o.ask(http.MethodGet, api+"/audit?before=0", readToken, "", nil)
		for _, note := range strings.Split(answer, `{"number":`) {
			if strings.Contains(note, begun.ID) && strings.Contains(note, `"action":"/work"`) && strings.Contains(note, `"subject":"on-call"`) {
				return nil
			}
		}
		return errorOf(http.StatusOK, answer)
	})
	if _, answer := o.ask(http.MethodGet, api+"/audit", readToken, "", nil); !strings.Contains(answer, `"subject":"on-call"`) {
		t.Errorf("the note does not name the subject: %s", answer)
	}
	var made struct{ At time.Time }
	o.operate("/revocations", `{"kind":"token","value":"operator"}`, &made)
	o.until("the revoked token has no role", func() error {
		if status, answer := o.ask(http.MethodGet, api+"/jobs", operator, "", nil); status != http.StatusUnauthorized {
			return errorOf(status, answer)
		}
		return nil
	})
}

// TestScopesGiveNoRoleByDefault: with the default settings no scope of a client's token has
// a role, whatever its name is.
func TestScopesGiveNoRoleByDefault(t *testing.T) {
	t.Parallel()
	o := startOperating(t, nil)
	client := issueScoped(t, "browser", "browser", "", "publish realtime:read realtime:operate operate read", time.Now().Add(-time.Minute))
	if status, answer := o.ask(http.MethodGet, api+"/jobs", client, "", nil); status != http.StatusUnauthorized {
		t.Errorf("a read: %d %s", status, answer)
	}
	if status, answer := o.ask(http.MethodPost, api+"/sockets/close", client, `{"id":"none"}`, nil); status != http.StatusUnauthorized {
		t.Errorf("a change: %d %s", status, answer)
	}
}

// TestReadOnlyChangesNothing: with ADMIN_READ_ONLY no route changes anything, for nobody.
func TestReadOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	o := startOperating(t, map[string]string{"ADMIN_READ_ONLY": "true", "ADMIN_OPERATE_SCOPE": "realtime:operate"})
	operator := issueScoped(t, "on-call", "operator", "", "realtime:operate", time.Now().Add(-time.Minute))
	o.changes(func(method, target, body string) {
		for _, token := range []string{needToken, operator} {
			if status, answer := o.ask(method, target, token, body, nil); status != http.StatusForbidden || !strings.Contains(answer, `"read-only"`) {
				t.Errorf("%s %s: %d %s", method, target, status, answer)
			}
		}
	})
	if notes := o.notes(); notes != 0 {
		t.Errorf("%d changes were noted", notes)
	}
}

// TestStoredMarkupIsData: markup in ids, events, letters, subjects and paths comes back as
// JSON that no browser takes for a page.
func TestStoredMarkupIsData(t *testing.T) {
	t.Parallel()
	const markup = `<script>alert(1)</script>`
	redis := testkit.StartRedis(t)
	environ := map[string]string{"REDIS_URL": redis.URL(), "ADMIN_READ_TOKEN": readToken}
	for name, value := range withTokens {
		environ[name] = value
	}
	o := &operating{startNeeding(t, environ)}
	o.publish(`{"kind":"domain","jobId":"` + markup + `","id":"` + markup + `","event":{"type":"` + markup + `","occurredAt":"2026-01-01T00:00:00Z"}}`)
	client := redis.Client()
	o.until("a letter with markup is there", func() error {
		if err := client.Publish(t.Context(), "novel.realtime.events", `{"kind":"`+markup+`","jobId":"`+markup+`"}`).Err(); err != nil {
			return err
		}
		_, answer := o.ask(http.MethodGet, api+"/letters", readToken, "", nil)
		if !strings.Contains(answer, "unknown-kind") {
			return errorOf(0, answer)
		}
		return nil
	})
	escaped := url.QueryEscape(markup)
	for _, path := range []string{
		"/jobs", "/job?jobId=" + escaped, "/job/events?jobId=" + escaped, "/job/stages?jobId=" + escaped, "/job/followers?jobId=" + escaped, "/letters", "/letter?sequence=1",
		"/sockets?subject=" + escaped, "/socket?id=" + escaped, "/sockets?address=" + escaped, "/jobs?" + escaped + "=1", "/audit",
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+api+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+readToken)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.NewDecoder(answer.Body).Decode(&value); err != nil {
			t.Errorf("%s: not JSON: %v", path, err)
		}
		_ = answer.Body.Close()
		if header := answer.Header; header.Get("Content-Type") != "application/json; charset=utf-8" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, header)
		}
	}
	var stages struct {
		Items []struct {
			Stage    string
			Sequence uint64
		}
	}
	o.until("the stages are recorded", func() error {
		o.read("/job/stages?jobId="+escaped+"&id="+escaped, &stages)
		if len(stages.Items) != 3 || stages.Items[0].Stage != "received" || stages.Items[1].Stage != "logging" || stages.Items[2].Stage != "logged" || stages.Items[2].Sequence == 0 {
			return errorOf(0, stages)
		}
		return nil
	})
}

// errorOf is an answer as an error.
func errorOf(status int, answer any) error { return fmt.Errorf("%d %v", status, answer) }
