package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/letswriteabook/realtime/internal/testkit"
)

const readToken = "read-0123456789abcdef"

// operating is a gateway with the operators' API, and something in it.
type operating struct{ *needing }

// startOperating runs a gateway whose log has three jobs and one dead letter.
func startOperating(t *testing.T, more map[string]string) *operating {
	t.Helper()
	redis := testkit.StartRedis(t)
	environ := map[string]string{"REDIS_URL": redis.URL(), "ADMIN_READ_TOKEN": readToken}
	maps.Copy(environ, withTokens)
	maps.Copy(environ, more)
	o := &operating{startNeeding(t, environ)}
	for _, job := range []string{"a/1", "a/2", "b"} {
		for n := range 3 {
			o.publish(fmt.Sprintf(`{"kind":"job-status","jobId":%q,"status":"running","id":"%d"}`, job, n))
		}
	}
	client := redis.Client()
	o.until("the gateway has received an event", func() error {
		received, err := client.Publish(t.Context(), "novel.realtime.events", `{"kind":"nonsense","jobId":"b"}`).Result()
		if err == nil && received == 0 {
			err = errors.New("nobody subscribes")
		}
		return err
	})
	o.until("the gateway has refused it", func() error {
		if !strings.Contains(o.get("/metrics"), `realtime_eventstore_dead_letters_total{reason="unknown-kind"} 1`) {
			return fmt.Errorf("no letter")
		}
		return nil
	})
	return o
}

// ask sends a request to the API.
func (o *operating) ask(method, path, token, body string, header map[string]string) (status int, answer string) {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		if name == "Host" {
			request.Host = value
		} else {
			request.Header.Set(name, value)
		}
	}
	got, err := http.DefaultTransport.RoundTrip(request) // no redirects
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return got.StatusCode, string(text)
}

// read asks for a page with the token for reading.
func (o *operating) read(path string, into any) {
	o.t.Helper()
	status, answer := o.ask(http.MethodGet, api+path, readToken, "", nil)
	if status != http.StatusOK {
		o.t.Fatalf("%s: %d %s", path, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		o.t.Fatalf("%s: %v: %s", path, err, answer)
	}
}

// operate makes a change.
func (o *operating) operate(path, body string, into any) {
	o.t.Helper()
	status, answer := o.ask(http.MethodPost, api+path, needToken, body, nil)
	if status != http.StatusOK {
		o.t.Fatalf("%s: %d %s", path, status, answer)
	}
	if err := json.Unmarshal([]byte(answer), into); err != nil {
		o.t.Fatalf("%s: %v: %s", path, err, answer)
	}
}

const api = "/internal/api/v1"

// document is what the tests read of the OpenAPI document.
type document struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		Role       string `json:"x-role"`
		Parameters []struct {
			Name     string
			Required bool
		}
		Responses map[string]struct {
			Content map[string]struct{ Schema any }
		}
	}
}

// samples are values of the parameters and bodies with which each route answers.
var (
	sampleQuery = map[string]string{"jobId": "b", "sequence": "1", "id": "none", "gateway": "none", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
	sampleBody  = map[string]string{
		"/letters/redrive": `{"sequences":[1],"dryRun":true}`, "/letters/purge": `{"sequences":[1],"dryRun":true}`,
		"/revocations": `{"kind":"subject","value":"nobody"}`, "/revocations/lift": `{"kind":"subject","value":"nobody"}`,
		"/sockets/close":      `{"id":"none"}`,
		"/events":             `{"kind":"job-status","jobId":"b","status":"completed"}`,
		"/projections/verify": `{"projection":"history"}`, "/projections/rebuild": `{"projection":"history"}`, "/projections/swap": `{"projection":"history"}`,
		"/erasures": `{"jobId":"b","reason":"a test","dryRun":true}`, "/replays": `{"into":"job:b","dryRun":true}`, "/work/cancel": `{"id":"none"}`,
	}
	// sampleMissing are the routes whose samples name what does not exist.
	sampleMissing = []string{"/work/one", "/work/cancel", "/revocations/lift"}
)

// TestEveryRouteOfTheAPI goes over the OpenAPI document: each route answers as it says,
// and not without a token; the role read cannot change anything; a method or a path that
// the document does not have does not exist.
func TestEveryRouteOfTheAPI(t *testing.T) {
	t.Parallel()
	o := startOperating(t, nil)
	var described document
	o.read("/openapi.json", &described)
	if described.OpenAPI != "3.1.0" || len(described.Paths) < 12 {
		t.Fatalf("%s with %d paths", described.OpenAPI, len(described.Paths))
	}
	for path, methods := range described.Paths {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			operation, found := methods[method]
			query := make(url.Values)
			for _, parameter := range operation.Parameters {
				if parameter.Required {
					query.Set(parameter.Name, sampleQuery[parameter.Name])
				}
			}
			target, body := api+path+"?"+query.Encode(), ""
			if method != "get" {
				body = cmp.Or(sampleBody[path], "{}")
			}
			name := strings.ToUpper(method)
			if !found {
				if status, answer := o.ask(name, target, needToken, body, nil); status != http.StatusMethodNotAllowed {
					t.Errorf("%s %s is not in the document: %d %s", name, path, status, answer)
				}
				continue
			}
			for _, token := range []string{"", "wrong-0123456789abcdef"} {
				if status, answer := o.ask(name, target, token, body, nil); status != http.StatusUnauthorized {
					t.Errorf("%s %s with the token %q: %d %s", name, path, token, status, answer)
				}
			}
			if (operation.Role == "operate") == (method == "get") {
				t.Errorf("%s %s takes the role %s", name, path, operation.Role)
			}
			if operation.Role == "operate" {
				if status, answer := o.ask(name, target, readToken, body, nil); status != http.StatusForbidden || !strings.Contains(answer, `"role"`) {
					t.Errorf("%s %s with the role read: %d %s", name, path, status, answer)
				}
			}
			status, answer := o.ask(name, target, needToken, body, nil)
			if slices.Contains(sampleMissing, path) && status == http.StatusNotFound {
				continue
			}
			response, documented := operation.Responses[strconv.Itoa(status)]
			if status/100 != 2 || !documented {
				t.Errorf("%s %s: %d %s; the document has the statuses %v", name, path, status, answer, slices.Collect(maps.Keys(operation.Responses)))
				continue
			}
			o.fits(name+" "+path, response.Content["application/json"].Schema, answer)
			if status, _ := o.ask(name, target+"&unknown=1", needToken, body, nil); status != http.StatusBadRequest {
				t.Errorf("%s %s with an unknown parameter: %d", name, path, status)
			}
		}
	}
	for _, path := range []string{"", "/", "/none", "/jobs/", "/job/events/../events", "/%6aobs/x"} {
		if status, answer := o.ask(http.MethodGet, api+path, needToken, "", nil); status != http.StatusNotFound && status != http.StatusTemporaryRedirect && status != http.StatusMovedPermanently {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

// fits checks an answer against the schema of the document.
func (o *operating) fits(route string, schema any, answer string) {
	o.t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("answer.json", schema); err != nil {
		o.t.Fatal(err)
	}
	compiled, err := compiler.Compile("answer.json")
	if err != nil {
		o.t.Errorf("%s: %v", route, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(answer)))
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		o.t.Errorf("%s: %v: %s", route, err, answer)
	}
}

// TestAPIReads checks what the pages have, and that their pages follow each other.
func TestAPIReads(t *testing.T) {
	t.Parallel()
	o := startOperating(t, nil)
	var jobs struct {
		Items []struct {
			JobID  string
			Events int
		}
		Next string
	}
	o.read("/jobs?limit=2", &jobs)
	if fmt.Sprint(jobs) != "{[{a/1 3} {a/2 3}] a/2}" {
		t.Errorf("first page of jobs %v", jobs)
	}
	jobs.Next = ""
	o.read("/jobs?limit=2&after=a%2F2", &jobs)
	if fmt.Sprint(jobs) != "{[{b 3}] }" {
		t.Errorf("second page of jobs %v", jobs)
	}
	o.read("/jobs?prefix=a%2F", &jobs)
	if len(jobs.Items) != 2 {
		t.Errorf("jobs with a prefix %v", jobs)
	}
	type page struct {
		Items []struct {
			Sequence uint64
			ID       string
			Envelope struct{ Status string }
		}
		After, Before uint64
	}
	var newest, older, newer page
	o.read("/job/events?jobId=b&limit=2", &newest)
	o.read(fmt.Sprintf("/job/events?jobId=b&before=%d", newest.Before), &older)
	o.read(fmt.Sprintf("/job/events?jobId=b&after=%d", older.After), &newer)
	if len(newest.Items) != 2 || newest.Items[1].ID != "2" || newest.Items[1].Envelope.Status != "running" || len(older.Items) != 1 || older.Items[0].ID != "0" || !slices.Equal(newer.Items, newest.Items) {
		t.Errorf("events: %v, before them %v, after those %v", newest, older, newer)
	}
	var job struct {
		Newest              struct{ ID string }
		Followers, Gateways int
	}
	o.read("/job?jobId=b", &job)
	if job.Newest.ID != "2" || job.Gateways != 1 || job.Followers != 0 {
		t.Errorf("job %+v", job)
	}
	var letters struct {
		Items []struct {
			Sequence      uint64
			Reason, JobID string
		}
		Next uint64
	}
	o.read("/letters?jobId=b&reason=unknown-kind", &letters)
	if len(letters.Items) != 1 || letters.Items[0].Reason != "unknown-kind" || letters.Items[0].JobID != "b" || letters.Next != 0 {
		t.Errorf("letters %+v", letters)
	}
	var letter struct{ Body []byte }
	o.read("/letter?sequence=1", &letter)
	if string(letter.Body) != `{"kind":"nonsense","jobId":"b"}` {
		t.Errorf("letter %s", letter.Body)
	}
	var settings struct {
		Items []struct{ Name, Value string }
	}
	o.read("/settings", &settings)
	if text := fmt.Sprint(settings); strings.Contains(text, needToken) || strings.Contains(text, readToken) || !strings.Contains(text, "ADMIN_READ_TOKEN (hidden)") {
		t.Errorf("settings %s", text)
	}
	for _, path := range []string{"/jobs?limit=0", "/jobs?limit=501", "/jobs?limit=x", "/job", "/job?jobId=" + strings.Repeat("x", 300), "/job/events?jobId=b&after=1&before=2", "/letters?reason=none"} {
		if status, answer := o.ask(http.MethodGet, api+path, needToken, "", nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
}

// TestChangesAreAudited checks that a change is made, and noted with who asked for it.
func TestChangesAreAudited(t *testing.T) {
	t.Parallel()
	o := startOperating(t, nil)
	var redriven struct {
		Items []struct {
			Sequence uint64
			Refused  string
		}
	}
	o.operate("/letters/redrive", `{"sequences":[1]}`, &redriven)
	if len(redriven.Items) != 1 || redriven.Items[0].Refused == "" {
		t.Errorf("redriven %+v", redriven)
	}
	var purged struct{ Removed int }
	o.operate("/letters/purge", `{"sequences":[1],"dryRun":true}`, &purged)
	o.operate("/letters/purge", `{"sequences":[1]}`, &purged)
	if purged.Removed != 1 {
		t.Errorf("purged %+v", purged)
	}
	if status, answer := o.ask(http.MethodGet, api+"/letter?sequence=1", readToken, "", nil); status != http.StatusNotFound {
		t.Errorf("a purged letter: %d %s", status, answer)
	}
	if status, answer := o.ask(http.MethodPost, api+"/events", needToken, `{"kind":"job-status","jobId":"c","status":"queued"}`, nil); status != http.StatusCreated {
		t.Errorf("publish: %d %s", status, answer)
	}
	var trail struct {
		Items []struct {
			Note struct {
				ID, Stage, Action, Role, From string
				Outcome                       any
			}
		}
		Next uint64
	}
	o.read("/audit", &trail)
	var told []string
	for _, item := range trail.Items {
		if item.Note.ID == "" || item.Note.Role != "operate" || item.Note.From != "127.0.0.1" {
			t.Errorf("note %+v", item.Note)
		}
		told = append(told, item.Note.Stage+" "+item.Note.Action)
	}
	want := []string{"begun /letters/redrive", "done /letters/redrive", "begun /letters/purge", "done /letters/purge", "begun /events", "done /events"}
	if !slices.Equal(told, want) {
		t.Errorf("noted %q, want %q", told, want)
	}
	o.read("/audit?limit=1", &trail)
	if len(trail.Items) != 1 || trail.Next == 0 {
		t.Errorf("first page of the trail %+v", trail)
	}
}

// TestAttacksOnTheAPI: what a page of another site, a form or a proxy can send changes
// nothing, and reads nothing where no token is needed.
func TestAttacksOnTheAPI(t *testing.T) {
	t.Parallel()
	body := `{"kind":"job-status","jobId":"attacked","status":"queued"}`
	open := startOperatingWithoutToken(t)
	for name, header := range map[string]map[string]string{
		"another Host":      {"Host": "evil.example"},
		"a rebound Host":    {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
		"another Origin":    {"Origin": "http://evil.example"},
		"a null Origin":     {"Origin": "null"},
		"another port":      {"Origin": "http://127.0.0.1:1"},
		"cross-site":        {"Sec-Fetch-Site": "cross-site"},
		"same-site":         {"Sec-Fetch-Site": "same-site"},
		"X-Forwarded-For":   {"X-Forwarded-For": "127.0.0.1"},
		"X-Forwarded-Host":  {"X-Forwarded-Host": "localhost"},
		"Forwarded":         {"Forwarded": "for=127.0.0.1"},
		"Via":               {"Via": "1.1 proxy"},
		"a cookie":          {"Host": "evil.example", "Cookie": "token=" + needToken},
		"a password":        {"Authorization": "Basic aW50ZXJuYWw6MDEyMzQ1Njc4OWFiY2RlZg==", "Host": "evil.example"},
		"an empty password": {"Authorization": "Bearer "},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			path, sent := "/jobs", ""
			if method == http.MethodPost {
				path, sent = "/events", body
			}
			if status, answer := open.ask(method, api+path, "", sent, header); status != http.StatusUnauthorized && status != http.StatusForbidden {
				t.Errorf("%s, %s: %d %s", method, name, status, answer)
			}
		}
	}
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
		if status, answer := open.ask(http.MethodPost, api+"/events", "", body, map[string]string{"Content-Type": media}); status != http.StatusUnsupportedMediaType {
			t.Errorf("a form as %q: %d %s", media, status, answer)
		}
	}
	if status, answer := open.ask(http.MethodGet, api+"/job/events?jobId=attacked", "", "", nil); status != http.StatusOK || strings.Contains(answer, "queued") {
		t.Errorf("after the attacks: %d %s", status, answer)
	}

	closed := startOperating(t, map[string]string{"ADMIN_READ_ONLY": "true"})
	if status, answer := closed.ask(http.MethodPost, api+"/events", needToken, body, nil); status != http.StatusForbidden || !strings.Contains(answer, "ADMIN_READ_ONLY") {
		t.Errorf("read only: %d %s", status, answer)
	}
	if status, answer := closed.ask(http.MethodGet, api+"/jobs", needToken, "", map[string]string{"Origin": "http://evil.example"}); status != http.StatusOK {
		t.Errorf("a token in a foreign page's request, which no page can send for its bearer: %d %s", status, answer)
	}
}

// startOperatingWithoutToken runs a gateway on which this machine needs no token.
func startOperatingWithoutToken(t *testing.T) *operating {
	t.Helper()
	return &operating{startNeeding(t, map[string]string{"INTERNAL_TOKEN": ""})}
}
