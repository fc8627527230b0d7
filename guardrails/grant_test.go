package guardrails_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/letswriteabook/realtime/guardrails"
	"github.com/letswriteabook/realtime/messaging"
)

func newGrant(t testing.TB, jobs, scopes []string) guardrails.Grant {
	t.Helper()
	grant, err := guardrails.NewGrant("reader-1", jobs, scopes, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return grant
}

func TestGrantFollow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		jobs    []string
		job     string
		allowed bool
	}{
		{name: "exact", jobs: []string{"job-1"}, job: "job-1", allowed: true},
		{name: "second of two", jobs: []string{"job-1", "job-2"}, job: "job-2", allowed: true},
		{name: "exact is no prefix", jobs: []string{"job-1"}, job: "job-10"},
		{name: "exact is not its own beginning", jobs: []string{"job-10"}, job: "job-1"},
		{name: "case counts", jobs: []string{"job-a"}, job: "job-A"},
		{name: "prefix", jobs: []string{"team-1/*"}, job: "team-1/novel", allowed: true},
		{name: "the prefix itself", jobs: []string{"team-1/*"}, job: "team-1/", allowed: true},
		{name: "less than the prefix", jobs: []string{"team-1/*"}, job: "team-1"},
		{name: "another prefix", jobs: []string{"team-1/*"}, job: "team-10/novel"},
		{name: "prefix further on", jobs: []string{"team-1/*"}, job: "x/team-1/novel"},
		{name: "all", jobs: []string{"*"}, job: "anything", allowed: true},
		{name: "a star in the job is no pattern", jobs: []string{"job-1"}, job: "*"},
		{name: "a star in the job after a prefix", jobs: []string{"job-*"}, job: "job-*", allowed: true},
		{name: "no jobs", jobs: nil, job: "job-1"},
		{name: "no job", jobs: []string{"job-1"}, job: ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := guardrails.Decision{Code: messaging.CodeJobForbidden}
			if test.allowed {
				want = guardrails.Decision{}
			}
			if got := newGrant(t, test.jobs, nil).Follow(test.job); got != want {
				t.Errorf("decision %+v, want %+v", got, want)
			}
		})
	}
}

func TestGrantPublish(t *testing.T) {
	t.Parallel()
	tests := []struct {
		scopes []string
		want   messaging.Code
	}{
		{nil, messaging.CodeScopeRequired},
		{[]string{"read", "PUBLISH", "publish:all"}, messaging.CodeScopeRequired},
		{[]string{"read", "publish"}, ""},
	}
	for _, test := range tests {
		if got := newGrant(t, []string{"*"}, test.scopes).Publish().Code; got != test.want {
			t.Errorf("scopes %q: code %q, want %q", test.scopes, got, test.want)
		}
	}
}

func TestGrantExpiry(t *testing.T) {
	t.Parallel()
	grant := newGrant(t, nil, nil)
	tests := []struct {
		name      string
		left      time.Duration
		warn, end time.Duration
	}{
		{"an hour", time.Hour, time.Hour - 30*time.Second, time.Hour},
		{"when to warn", 30 * time.Second, 0, 30 * time.Second},
		{"shorter than the warning", 10 * time.Second, 0, 10 * time.Second},
		{"the last moment", 1, 0, 1},
		{"the end", 0, 0, 0},
		{"later", -time.Hour, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := grant.ExpiresAt.Add(-test.left)
			if warn, end := grant.Expiry(now); warn != test.warn || end != test.end {
				t.Errorf("warning in %s, end in %s; want %s and %s", warn, end, test.warn, test.end)
			}
		})
	}
}

func TestOpenGrantAllowsEverything(t *testing.T) {
	t.Parallel()
	grant := guardrails.Open()
	if !grant.Follow("job-1").Allowed() || !grant.Publish().Allowed() {
		t.Error("the open grant refuses something")
	}
	if warn, end := grant.Expiry(start); warn != guardrails.Never || end != guardrails.Never {
		t.Errorf("the open grant warns in %s and ends in %s", warn, end)
	}
	if grant.Subject != "" {
		t.Errorf("the open grant is that of %q", grant.Subject)
	}
}

func TestNoGrantAllowsNothing(t *testing.T) {
	t.Parallel()
	for name, grant := range map[string]guardrails.Grant{
		"zero":           {},
		"without an end": {Subject: "reader-1", Jobs: []string{"*"}, Scopes: []string{guardrails.ScopePublish}},
	} {
		want := guardrails.Decision{Code: messaging.CodeTokenRequired}
		for _, got := range []guardrails.Decision{grant.Follow("job-1"), grant.Publish()} {
			if got != want {
				t.Errorf("%s: decision %+v, want %+v", name, got, want)
			}
		}
		if warn, end := grant.Expiry(start); warn != 0 || end != 0 {
			t.Errorf("%s: warning in %s, end in %s", name, warn, end)
		}
	}
}

func TestNewGrantRefuses(t *testing.T) {
	t.Parallel()
	later := start.Add(time.Hour)
	tests := []struct {
		name    string
		subject string
		jobs    []string
		expires time.Time
	}{
		{"no subject", "", nil, later},
		{"no end", "reader-1", nil, time.Time{}},
		{"empty pattern", "reader-1", []string{"job-1", ""}, later},
		{"star first", "reader-1", []string{"*-1"}, later},
		{"star inside", "reader-1", []string{"job-*-1"}, later},
		{"two stars", "reader-1", []string{"**"}, later},
		{"star and star at the end", "reader-1", []string{"job-*-*"}, later},
		{"control character", "reader-1", []string{"job\n*"}, later},
		{"no UTF-8", "reader-1", []string{"job\xff"}, later},
		{"longer than a job", "reader-1", []string{strings.Repeat("a", messaging.MaxJobIDBytes+1)}, later},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			grant, err := guardrails.NewGrant(test.subject, test.jobs, []string{guardrails.ScopePublish}, test.expires)
			if !errors.Is(err, guardrails.ErrGrant) {
				t.Fatalf("error %v, want ErrGrant", err)
			}
			if grant.Publish().Allowed() {
				t.Error("the grant beside the error allows something")
			}
			for _, job := range test.jobs {
				if job != "" && strings.Contains(err.Error(), job) {
					t.Errorf("the error repeats the claim: %v", err)
				}
			}
		})
	}
}

// A grant stays what it was made from.
func TestGrantKeepsItsClaims(t *testing.T) {
	t.Parallel()
	jobs, scopes := []string{"job-1"}, []string{"read"}
	expires := time.Now().Add(time.Hour)
	grant, err := guardrails.NewGrant("reader-1", jobs, scopes, expires)
	if err != nil {
		t.Fatal(err)
	}
	if grant.ExpiresAt != expires.Round(0) {
		t.Errorf("expires at %s, want the wall time of %s", grant.ExpiresAt, expires)
	}
	jobs[0], scopes[0] = "*", guardrails.ScopePublish
	if grant.Follow("job-2").Allowed() || grant.Publish().Allowed() {
		t.Error("the grant changed with the slices that it was made from")
	}
}

// FuzzGrant holds a pattern against a job: it matches as the words of NewGrant
// say, or makes no grant.
func FuzzGrant(f *testing.F) {
	f.Add("job-1", "job-1")
	f.Add("job-*", "job-1")
	f.Add("*", "anything")
	f.Add("a*b", "a*b")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, pattern, job string) {
		grant, err := guardrails.NewGrant("reader-1", []string{pattern}, nil, start)
		legal := pattern == "*" || messaging.ValidateJobID(strings.TrimSuffix(pattern, "*")) == nil && strings.Count(strings.TrimSuffix(pattern, "*"), "*") == 0
		if legal != (err == nil) {
			t.Fatalf("pattern %q: error %v", pattern, err)
		}
		if err != nil {
			return
		}
		want := pattern == job
		if stem := len(pattern) - 1; pattern[stem] == '*' {
			want = len(job) >= stem && job[:stem] == pattern[:stem]
		}
		if got := grant.Follow(job).Allowed(); got != want {
			t.Errorf("pattern %q, job %q: %t, want %t", pattern, job, got, want)
		}
	})
}
